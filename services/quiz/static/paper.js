/* The paper: one question a screen, every tap kept on the phone, the server's clock, and handing in. ES5. */
(function () {
  "use strict";
  var H = Hoithi, el = H.el, data = H.data, LETTERS = "ABCDEFGH";
  var person = H.person.current(), work = null, deadline = 0, ticking = 0, resyncing = false;
  var SCREENS = ["intro", "work", "sending", "done"], SAY_MINUTES = [5, 1], RESYNC_MS = 3000;
  var ASK_MS = 240000, LAST_ASK_MS = 20000, SPREAD_MS = 40000, askAt = 0;

  function screen(name) {
    SCREENS.forEach(function (id) { H.show(el(id), id === name); });
    window.scrollTo(0, 0);
  }

  /* ---- the start ---- */
  function begin() {
    var last = H.person.receipts(person, data.round)[0], body = { round: data.round }, sent = Date.now();
    if (last) { body.after = last.receipt; }
    el("begin").disabled = true;
    H.show(el("intro-error"), false);
    H.request("POST", "/api/v1/attempts", body, person.token, function (status, answer) {
      el("begin").disabled = false;
      if (status === 200 || status === 201) { started(answer, sent); return; }
      if (status === 401) { register(); return; }
      el("intro-error").textContent = status ? answer.detail || H.say("begin_offline") : H.say("begin_offline");
      H.show(el("intro-error"), true);
    });
  }

  function started(answer, sent) {
    H.clock.set(Date.parse(answer.now), sent);
    work = {
      round: data.round, attempt_id: answer.attempt_id, n: answer.n, left: answer.attempts_left, deadline: answer.deadline,
      paper_token: answer.paper_token, questions: answer.paper.questions, question: answer.paper.prediction,
      answers: answer.paper.questions.map(function () { return ""; }), prediction: "", at: 0, handed: false
    };
    H.person.keepWork(person, work);
    // All pictures now: the network may be gone when their question comes.
    work.questions.forEach(function (question) { if (question.picture) { new Image().src = question.picture; } });
    go();
  }

  function register() { location.replace("/c/" + data.contest + "/dang-ky"); }

  /* ---- the questions; the one past the last is the prediction ---- */
  function places() { return work.questions.length + (work.question ? 1 : 0); }

  function blanks() { return work.answers.filter(function (answer) { return !answer; }).length; }

  function keep() {
    var kept = H.person.keepWork(person, work);
    el("saved").textContent = H.say(kept ? "saved" : "unsaved");
    el("saved").className = kept ? "saved yes" : "saved no";
    el("progress").value = work.questions.length - blanks();
  }

  function option(question, i) {
    var letter = LETTERS[i], label = H.make("label");
    var box = H.make("input", { type: question.several ? "checkbox" : "radio", name: "answer", value: letter });
    box.checked = work.answers[work.at].indexOf(letter) >= 0;
    mark(label, box.checked);
    label.appendChild(box);
    label.appendChild(H.make("span", { "class": "letter" }, H.say("option", { letter: letter })));
    label.appendChild(H.make("span", { "class": "option-text" }, question.options[i]));
    return label;
  }

  function mark(label, chosen) { label.className = chosen ? "option chosen" : "option"; }

  function taken() {
    Array.prototype.forEach.call(el("options").children, function (label) { mark(label, label.querySelector("input").checked); });
    var boxes = el("options").querySelectorAll("input:checked");
    work.answers[work.at] = Array.prototype.map.call(boxes, function (box) { return box.value; }).sort().join("");
    keep();
  }

  function picture(question) {
    var image = el("question-picture"), path = question && question.picture;
    H.show(image, !!path);
    if (!path) { image.removeAttribute("src"); return; }
    image.src = path;
    image.alt = question.picture_alt || H.say("picture");
  }

  function ask(at, focus) {
    work.at = Math.max(0, Math.min(at, places() - 1));
    var question = work.questions[work.at], last = work.at === places() - 1;
    el("question-text").textContent = question ? question.text : work.question;
    el("place").textContent = question
      ? H.say("place", { n: work.at + 1, total: work.questions.length })
      : H.say("place_prediction");
    H.show(el("question-kind"), !!question && question.several);
    picture(question);
    H.show(el("prediction-box"), !question);
    el("options").textContent = "";
    if (question) {
      question.options.forEach(function (text, i) { el("options").appendChild(option(question, i)); });
    } else {
      el("prediction").value = work.prediction;
    }
    el("saved").textContent = "";
    el("back").disabled = work.at === 0;
    el("next").textContent = last ? el("look-over").textContent : H.say("next");
    H.show(el("look-over"), !last);
    H.show(el("question"), true);
    H.show(el("review"), false);
    el("progress").value = work.questions.length - blanks();
    H.person.keepWork(person, work);
    window.scrollTo(0, 0);
    if (focus) { el("question-text").focus(); }
  }

  function review() {
    var left = blanks();
    el("review-blanks").textContent = H.say(left ? "blanks" : "no_blanks", { n: left });
    el("review-blanks").className = left ? "note" : "good";
    el("marks").textContent = "";
    work.answers.forEach(function (answer, i) {
      var words = H.say("mark", { n: i + 1, answer: answer || H.say("blank") });
      var button = H.make("button", { type: "button", "class": answer ? "mark" : "mark blank", "aria-label": words });
      button.appendChild(H.make("span", {}, i + 1));
      button.appendChild(H.make("strong", {}, answer || "–"));
      button.addEventListener("click", function () { ask(i, true); });
      var item = H.make("li");
      item.appendChild(button);
      el("marks").appendChild(item);
    });
    el("place").textContent = H.say("look_over");
    H.show(el("review-prediction"), !!work.question);
    el("review-prediction").textContent = work.prediction ? H.say("prediction_is", { n: work.prediction }) : H.say("prediction_blank");
    H.show(el("question"), false);
    H.show(el("review"), true);
    window.scrollTo(0, 0);
    el("review-title").focus();
  }

  /* ---- time ---- */
  function tick() {
    var doubtful = H.clock.jumped(); // the phone slept, or somebody moved its clock: only the server can tell the time
    if (doubtful) { resync(); }
    var ms = deadline - H.clock.now(), minutes = Math.ceil(ms / 60000);
    el("time").textContent = H.span(ms);
    el("time").className = ms < 60000 ? "time short" : "time";
    if (SAY_MINUTES.indexOf(minutes) >= 0) { el("time-said").textContent = H.say("minutes_left", { n: minutes }); }
    if (H.clock.now() >= askAt) { askDeadline(); }
    if (ms <= 0 && !doubtful) { hand(true); }
  }

  /* The organisers may move a deadline, and say something to everybody: asked now and then, and once more before time is up. */
  function askDeadline() {
    var sent = Date.now(), asked = work;
    nextAsk();
    H.request("GET", "/api/v1/attempts/" + encodeURIComponent(work.attempt_id), null, person.token, function (status, answer) {
      if (status !== 200 || work !== asked || work.handed) { return; }
      H.clock.set(Date.parse(answer.now), sent);
      if (work.deadline !== answer.deadline) {
        work.deadline = answer.deadline;
        deadline = Date.parse(work.deadline);
        H.person.keepWork(person, work);
        nextAsk();
      }
      H.show(el("banner"), !!answer.banner);
      el("banner").textContent = answer.banner ? answer.banner.text : "";
    });
  }

  function nextAsk() {
    var now = H.clock.now(), last = deadline - LAST_ASK_MS - Math.random() * SPREAD_MS;
    askAt = last > now ? Math.min(last, now + ASK_MS * (0.75 + Math.random() / 2)) : Infinity;
  }

  function resync() {
    if (resyncing) { return; }
    var sent = Date.now();
    resyncing = true;
    setTimeout(function () { resyncing = false; }, RESYNC_MS);
    H.request("GET", "/api/v1/contests/" + encodeURIComponent(data.contest), null, null, function (status, answer) {
      if (status === 200) { H.clock.set(Date.parse(answer.now), sent); }
    });
  }

  /* ---- handing in ---- */
  function hand(timeUp) {
    clearInterval(ticking);
    work.handed = true;
    H.person.keepWork(person, work);
    screen("sending");
    H.show(el("lost"), false);
    el("sending-why").textContent = timeUp ? H.say("time_up") : "";
    el("sending-title").focus();
    H.handIn(work, receipted, refused);
  }

  function receipted(answer, first) {
    var receipt = {
      attempt_id: answer.attempt_id, received_at: answer.received_at, receipt: answer.receipt,
      round: work.round, round_name: data.round_name, n: work.n, left: work.left
    };
    H.person.addReceipt(person, receipt);
    H.person.dropWork(person, work.round);
    screen("done");
    H.show(el("done-first"), first);
    H.show(el("again"), work.left > 0);
    H.outcome.showReceipt(receipt);
    el("receipt-title").focus();
    H.outcome.watch(answer.attempt_id, person.token);
  }

  /* A refusal that no repeat will change: say so, and let the person start afresh. */
  function refused(detail) {
    H.person.dropWork(person, work.round);
    screen("intro");
    el("intro-error").textContent = H.say("refused", { detail: detail });
    H.show(el("intro-error"), true);
  }

  /* ---- the way through ---- */
  function go() {
    deadline = Date.parse(work.deadline);
    nextAsk();
    if (work.handed) { hand(false); return; }
    screen("work");
    ask(work.at, true);
    H.show(el("lost"), navigator.onLine === false);
    ticking = setInterval(tick, 500);
    tick();
  }

  el("begin").addEventListener("click", begin);
  el("begin").disabled = false;  /* not before somebody listens: on a slow line scripts come late */
  el("options").addEventListener("change", taken);
  el("prediction").addEventListener("input", function () {
    work.prediction = this.value = this.value.replace(/\D/g, "");
    keep();
  });
  el("question").addEventListener("submit", function (event) { event.preventDefault(); });
  el("back").addEventListener("click", function () { ask(work.at - 1, true); });
  el("next").addEventListener("click", function () { if (work.at === places() - 1) { review(); } else { ask(work.at + 1, true); } });
  el("look-over").addEventListener("click", review);
  el("submit").addEventListener("click", function () { hand(false); });
  window.addEventListener("offline", function () { H.show(el("lost"), !el("work").hidden); });
  window.addEventListener("online", function () {
    H.show(el("lost"), false);
    if (work && !work.handed) { resync(); }
  });

  if (!person) { register(); return; }
  el("who-name").textContent = person.name;
  H.show(el("no-store"), !H.store.lasts);
  var last = H.person.receipts(person, data.round)[0];
  if (last) {
    el("intro-n").textContent = H.say("attempt_n", { n: Math.min(last.n + 1, data.attempts), most: data.attempts });
    el("begin").textContent = H.say("begin_n", { n: last.n + 1 });
  }
  work = H.person.work(person, data.round);
  if (work) { go(); }
})();
