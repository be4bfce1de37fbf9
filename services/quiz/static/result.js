/* The result of one attempt, for whoever made it on this phone. */
(function () {
  "use strict";
  var H = Hoithi, attempt = H.data.attempt, token = H.person.tokenOf(attempt);
  var receipt = H.person.receipts({ id: attempt.split(":")[0] }).filter(function (r) { return r.attempt_id === attempt; })[0];

  if (receipt) { H.outcome.showReceipt(receipt); }
  if (token) {
    H.outcome.watch(attempt, token);
  } else {
    H.el("result-word").textContent = H.say(H.person.current() ? "not_mine" : "no_token");
  }
})();
