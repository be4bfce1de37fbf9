// While reports are being made, their list is fetched again every two seconds. Without JavaScript the page is reloaded by hand.
(function () {
  "use strict";
  function look() {
    var list = document.getElementById("jobs");
    if (!list || list.dataset.busy !== "yes") return;
    fetch(location.pathname, { credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.text() : Promise.reject(); })
      .then(function (text) {
        var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("jobs");
        if (fresh) list.replaceWith(document.importNode(fresh, true));
      })
      .catch(function () {})
      .then(function () { setTimeout(look, 2000); });
  }
  setTimeout(look, 2000);
})();
