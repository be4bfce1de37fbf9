/* Registration: the list of units, the consent, the resume code, and errors beside their fields. */
(function () {
  "use strict";
  var H = Hoithi, el = H.el, data = H.data, contest = null, sending = false;
  var SEARCH_MS = 200;

  /* ---- the list of units: a combobox after the ARIA pattern ---- */
  var input = el("unit"), list = el("unit-list"), unit = data.unit, hits = [], at = -1, asked = 0, timer = 0;

  function open(visible) {
    H.show(list, visible && hits.length > 0);
    input.setAttribute("aria-expanded", visible && hits.length > 0 ? "true" : "false");
    if (!visible) { move(-1); }
  }

  function move(to) {
    var options = list.children;
    if (at >= 0 && options[at]) { options[at].setAttribute("aria-selected", "false"); }
    at = to;
    if (at >= 0) {
      options[at].setAttribute("aria-selected", "true");
      input.setAttribute("aria-activedescendant", options[at].id);
      list.scrollTop = Math.max(0, options[at].offsetTop + options[at].offsetHeight - list.clientHeight);
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  /* What stands above a unit: its path without its own name. */
  function above(hit) { return hit.path.slice(0, Math.max(0, hit.path.lastIndexOf(" › "))); }

  function choose(hit) {
    unit = hit;
    input.value = hit.name;
    el("unit-path").textContent = above(hit);
    el("unit-status").textContent = H.say("chosen", { name: hit.path });
    fault("unit", "");
    open(false);
  }

  function fill() {
    list.textContent = "";
    hits.forEach(function (hit, i) {
      var option = H.make("li", { role: "option", id: "unit-" + i, "aria-selected": "false" });
      option.appendChild(H.make("span", { "class": "unit-name" }, hit.name));
      if (above(hit)) { option.appendChild(H.make("span", { "class": "unit-path" }, above(hit))); }
      option.addEventListener("mousedown", function (event) { event.preventDefault(); });
      option.addEventListener("click", function () { choose(hit); });
      list.appendChild(option);
    });
    at = -1;
    open(document.activeElement === input);
    el("unit-status").textContent = H.say(hits.length ? "found" : "found_none", { n: hits.length });
  }

  function search() {
    var number = ++asked;
    var path = "/api/v1/units?contest=" + encodeURIComponent(data.contest) + "&q=" + encodeURIComponent(input.value.trim());
    H.request("GET", path, null, null, function (status, found) {
      if (number !== asked) { return; } // an older answer
      if (status !== 200) { fault("unit", H.say("offline")); return; }
      hits = found;
      fill();
    });
  }

  input.addEventListener("input", function () {
    unit = null;
    el("unit-path").textContent = "";
    clearTimeout(timer);
    timer = setTimeout(search, SEARCH_MS);
  });
  input.addEventListener("focus", function () { if (!unit) { search(); } else { input.select(); } });
  input.addEventListener("blur", function () { open(false); });
  input.addEventListener("keydown", function (event) {
    var key = event.key, last = hits.length - 1;
    if (key === "Escape") { open(false); return; }
    if (!hits.length || (key !== "ArrowDown" && key !== "ArrowUp" && key !== "Enter")) { return; }
    if (key === "Enter") {
      if (!list.hidden && (at >= 0 || hits.length === 1)) {
        event.preventDefault();
        choose(hits[Math.max(at, 0)]);
      }
      return;
    }
    event.preventDefault();
    open(true);
    move(key === "ArrowDown" ? (at >= last ? 0 : at + 1) : (at <= 0 ? last : at - 1));
  });

  /* ---- the form ---- */
  function fault(field, text) {
    var place = el(field + "-error"), control = el(field);
    if (!place) { return false; }
    place.textContent = text;
    if (control) { control[text ? "setAttribute" : "removeAttribute"]("aria-invalid", "true"); }
    return true;
  }

  function clear() {
    ["name", "phone", "unit", "categories", "roster_code", "email", "consent", "resume_code", "form"].forEach(function (field) { fault(field, ""); });
  }

  function focusFirst(field) {
    var control = field === "categories" ? document.querySelector("#categories input") : el(field);
    if (control) { control.focus(); } else { el("form-error").scrollIntoView(); }
  }

  function chosen() {
    return Array.prototype.map.call(document.querySelectorAll("#categories input:checked"), function (box) { return box.value; });
  }

  /* What can be said without asking the server; the names of the fields at fault in the page's order. */
  function check(form) {
    var wrong = [];
    function wants(good, field) {
      if (!good) { wrong.push(field); fault(field, H.say("need_" + field)); }
    }
    wants(form.name, "name");
    wants(form.phone.replace(/\D/g, "").length >= 9, "phone");
    wants(form.unit, "unit");
    wants(form.categories.length, "categories");
    wants(form.consent.accepted, "consent");
    return wrong;
  }

  function read() {
    var form = {
      contest: data.contest,
      name: el("name").value.trim(),
      phone: el("phone").value.trim(),
      unit: unit ? unit.code : "",
      categories: chosen(),
      consent: { version: contest.consent.version, accepted: el("consent").checked }
    };
    var roster = el("roster_code").value.trim();
    if (roster) { form.roster_code = roster; }
    var email = el("email").value.trim(), code = el("resume_code").value.replace(/[\s-]/g, "").toLowerCase();
    if (email) { form.email = email; }
    if (code) { form.resume_code = code; }
    return form;
  }

  function refuse(status, problem) {
    var first = null;
    (problem.errors || []).forEach(function (error) {
      var field = error.field.split(".")[0];
      if (field === "resume_code") { H.show(el("resume"), true); }
      if (error.field !== "consent.version" && fault(field, error.detail)) { first = first || field; }
    });
    if (!first) { fault("form", status ? problem.detail || H.say("failed") : H.say("offline")); }
    focusFirst(first || "form");
  }

  function submit(event) {
    event.preventDefault();
    if (sending) { return; }
    clear();
    if (!contest) { loadConsent(); fault("form", H.say("offline")); focusFirst("form"); return; }
    var form = read(), wrong = check(form);
    if (wrong.length) { focusFirst(wrong[0]); return; }
    sending = true;
    el("send").disabled = true;
    H.request("POST", "/api/v1/participants", form, null, function (status, answer) {
      sending = false;
      el("send").disabled = false;
      if (status !== 200 && status !== 201) { refuse(status, answer); return; }
      H.person.set({ id: answer.participant_id, token: answer.token, code: answer.resume_code, name: form.name });
      known();
      el("known-note").textContent = answer.note || "";
      H.show(el("known-note"), !!answer.note);
      el("known-title").focus();
    });
  }

  function spaced(code) { return code.toUpperCase().replace(/(.{4})(?=.)/g, "$1 "); }

  /* The person of this phone is registered: the code to write down, and the way on. */
  function known() {
    var person = H.person.current();
    H.show(el("register"), !person);
    H.show(el("known"), !!person);
    if (person) {
      el("known-name").textContent = person.name;
      el("code").textContent = spaced(person.code);
    }
  }

  function loadConsent() {
    H.request("GET", "/api/v1/contests/" + encodeURIComponent(data.contest), null, null, function (status, answer) {
      if (status !== 200) { setTimeout(loadConsent, 4000); return; }
      contest = answer;
      el("consent-text").textContent = contest.consent.text;
    });
  }

  el("register").addEventListener("submit", submit);
  el("send").disabled = false;  /* not before somebody listens: else what was typed would go into an address */
  el("other").addEventListener("click", function () {
    H.person.leave();
    known();
    el("name").focus();
  });
  known();
  if (!H.person.current()) { loadConsent(); }
  el("other").addEventListener("click", loadConsent);
})();
