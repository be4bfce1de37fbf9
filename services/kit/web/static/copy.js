/* Buttons that copy the text of a field. Without a script the field can still be selected. ES5. */
(function () {
  "use strict";
  Array.prototype.slice.call(document.querySelectorAll("[data-copy]")).forEach(function (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      document.getElementById(button.getAttribute("data-copy")).select();
      if (document.execCommand("copy")) { button.textContent = button.getAttribute("data-done"); }
    });
  });
})();
