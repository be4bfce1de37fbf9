/* Hands a paper in and does not rest until there is a receipt. The answers stay on the phone until then. */
Hoithi.handIn = function (work, receipted, refused) {
  "use strict";
  var H = Hoithi, el = H.el, tries = 0, timer = 0, busy = false;
  var FIRST_S = 1, MOST_S = 30;

  /* One character a question: its letter, `-` for blank, several letters as a group. */
  function answers() {
    return work.answers.map(function (letters) { return letters.length > 1 ? "(" + letters + ")" : letters || "-"; }).join("");
  }

  /* A number that this browser drew for itself: many people handing in from one machine is something to look at. */
  function device() {
    var drawn = H.store.get("device");
    if (!drawn) {
      drawn = Math.random().toString(36).slice(2, 14) + Date.now().toString(36);
      H.store.put("device", drawn);
    }
    return drawn;
  }

  function wait(status, after) {
    var left = Math.ceil(Math.max(after, Math.min(MOST_S, FIRST_S * Math.pow(2, tries++)) * (0.7 + Math.random() * 0.6)));
    el("sending-why").textContent = H.say(status ? "waiting" : "offline");
    H.show(el("send-now"), true);
    (function count() {
      if (left <= 0) { send(); return; }
      el("sending-wait").textContent = H.say("again_in", { s: left-- });
      timer = setTimeout(count, 1000);
    })();
  }

  function send() {
    if (busy) { return; }
    clearTimeout(timer);
    busy = true;
    H.show(el("send-now"), false);
    el("sending-wait").textContent = H.say("sending");
    var body = { paper_token: work.paper_token, answers: answers(), device: device() };
    if (work.prediction) { body.prediction = Number(work.prediction); }
    H.request("POST", "/api/v1/submissions", body, null, function (status, answer, after) {
      busy = false;
      if (answer.receipt && (status === 202 || status === 409)) {
        window.removeEventListener("online", send);
        receipted(answer, status === 409);
      } else if (!status || status === 429 || status >= 500) {
        wait(status, after);
      } else {
        window.removeEventListener("online", send);
        refused(answer.detail || String(status));
      }
    });
  }

  el("send-now").onclick = send;
  window.addEventListener("online", send);
  send();
};
