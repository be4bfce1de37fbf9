/* A receipt as people keep it, and the result of its attempt as soon as there is one. */
Hoithi.outcome = (function () {
  "use strict";
  var H = Hoithi, el = H.el;
  var WAITS_S = [1, 1, 2, 3, 5, 8, 12, 20, 30], SLOW_AFTER = 4;

  /* The first 4 bytes of the digest that a receipt holds (msgpack: [version, attempt, µs, digest, …]); people compare these. */
  function shortCode(receipt) {
    var bytes, at, i, code = "";
    try {
      bytes = atob(receipt.replace(/-/g, "+").replace(/_/g, "/"));
      var head = bytes.charCodeAt(2); // after the array's head and the version
      at = head === 0xd9 ? 4 + bytes.charCodeAt(3) : 3 + (head & 31);
      at += 9 + 2; // the time (8 bytes after their mark), then the mark and length of the digest
      for (i = at; i < at + 4; i++) { code += (256 + bytes.charCodeAt(i)).toString(16).slice(1); }
    } catch (e) {
      return "";
    }
    return (code.slice(0, 4) + "-" + code.slice(4)).toUpperCase();
  }

  function copy() {
    el("receipt-text").select();
    var done = false;
    try { done = document.execCommand("copy"); } catch (e) { /* said below */ }
    el("receipt-said").textContent = H.say(done ? "copied" : "copy_failed");
  }

  function save() {
    var url = URL.createObjectURL(new Blob([el("receipt-text").value + "\n"], { type: "text/plain" }));
    var link = H.make("a", { href: url, download: "bien-nhan-" + el("receipt-code").textContent + ".txt" });
    document.body.appendChild(link);
    link.click();
    document.body.removeChild(link);
    setTimeout(function () { URL.revokeObjectURL(url); }, 10000);
  }

  function showReceipt(receipt) {
    el("receipt-code").textContent = shortCode(receipt.receipt);
    el("receipt-at").textContent = H.at(receipt.received_at);
    el("receipt-left").textContent = receipt.left;
    el("receipt-text").value = receipt.receipt;
    H.show(el("receipt-card"), true);
    el("receipt-copy").onclick = copy;
    el("receipt-save").onclick = save;
  }

  function word(text) {
    if (el("result-word").textContent !== text) { el("result-word").textContent = text; }
  }

  function showScore(score) {
    var seconds = Math.round(score.elapsed_ms / 1000), known = score.correct !== undefined && score.correct !== null;
    word(H.say(score.verdict) + (score.verdict === "valid" && !known ? " " + H.say("hidden") : ""));
    el("result").className = "card result-" + score.verdict;
    el("result-correct").textContent = known ? score.correct + "/" + score.total : "–";
    el("result-elapsed").textContent = H.say("elapsed", { m: Math.floor(seconds / 60), s: seconds % 60 });
    H.show(el("result-rank-name"), !!score.rank);
    H.show(el("result-rank"), !!score.rank);
    if (score.rank) { el("result-rank").textContent = H.say("rank", { rank: score.rank }); }
    H.show(el("result-facts"), score.verdict !== "disqualified");
    if (score.row_code) {
      el("result-row-person").textContent = score.row_person;
      el("result-row-code").textContent = score.row_code;
      el("result-row-link").href = "/ket-qua/" + encodeURIComponent(score.attempt_id.split(":")[1]);
      H.show(el("result-row"), true);
    }
  }

  /* Asks for the result of an attempt until it is there, more and more rarely. */
  function watch(attempt, token) {
    var tries = 0, timer = 0;
    function ask() {
      clearTimeout(timer);
      H.request("GET", "/api/v1/results/" + encodeURIComponent(attempt), null, token, function (status, answer, after) {
        if (status === 200 && answer.status === "scored") { showScore(answer); return; }
        if (status === 401) { word(H.say("no_token")); return; }
        // Right after handing in, scoring may not have heard of the attempt yet.
        if (status === 404 && tries >= SLOW_AFTER) { word(H.say("not_mine")); return; }
        word(H.say(!status ? "lost" : tries >= SLOW_AFTER ? "slow" : "pending"));
        var wait = Math.max(after, WAITS_S[Math.min(tries++, WAITS_S.length - 1)]);
        timer = setTimeout(ask, wait * 1000 * (0.8 + Math.random() * 0.4));
      });
    }
    window.addEventListener("online", ask);
    ask();
  }

  return { showReceipt: showReceipt, watch: watch, shortCode: shortCode };
})();
