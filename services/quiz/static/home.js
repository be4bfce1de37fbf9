/* The home of a contest: the countdown by the server's clock, and the button that fits what this phone knows. */
(function () {
  "use strict";
  var H = Hoithi, data = H.data, el = H.el, person = H.person.current(), left = el("left");
  var RELOAD_SPREAD_MS = 3000;

  function tick() {
    var ms = data.until - H.clock.now();
    left.textContent = H.say(data.state === "upcoming" ? "opens_in" : "closes_in", { left: H.span(ms) });
    if (ms > 0) {
      setTimeout(tick, 1000);
    } else {
      // Everybody's page turns at this moment; they come back one after another.
      setTimeout(function () { location.reload(); }, 500 + Math.random() * RELOAD_SPREAD_MS);
    }
  }

  function mine() {
    var list = el("mine-list"), here = "/c/" + data.contest;
    function add(path, text) {
      var item = H.make("li");
      item.appendChild(H.make("a", { href: here + path }, text));
      list.appendChild(item);
    }
    data.rounds.forEach(function (round) {
      // What is still in hand for this round is led to by the big button.
      if (round !== data.round && H.person.work(person, round)) { add("/thi?round=" + encodeURIComponent(round), H.say("unsent")); }
    });
    H.person.receipts(person).forEach(function (receipt) {
      var text = H.say("attempt", { round: receipt.round_name, n: receipt.n, at: H.at(receipt.received_at) });
      add("/ket-qua/" + encodeURIComponent(receipt.attempt_id), text);
    });
    H.show(el("mine"), list.children.length > 0);
  }

  function button() {
    var go = el("go"), last = H.person.receipts(person, data.round)[0];
    if (!go) { return; }
    go.href = "/c/" + data.contest + "/thi?round=" + encodeURIComponent(data.round);
    if (H.person.work(person, data.round)) {
      go.textContent = H.say("go_on");
    } else if (last && last.left === 0) {
      H.show(go, false);
      H.show(el("spent"), true);
    } else if (last) {
      go.textContent = H.say("again", { n: last.n + 1 });
    }
  }

  if (data.until) { tick(); }
  if (person) {
    el("who-name").textContent = person.name;
    H.show(el("who"), true);
    button();
    mine();
    if (el("unit-box")) { H.show(el("unit-box"), false); }
  }
})();
