/* Who uses this phone, and what they have handed in from it. Kept on the phone only. Several people may share one. */
Hoithi.person = (function () {
  "use strict";
  var store = Hoithi.store, contest = Hoithi.data.contest;

  function current() { return store.get("person." + contest); }

  function workKey(person, round) { return "work." + person.id + "." + round; }

  function receiptsKey(person) { return "receipts." + person.id; }

  return {
    current: current,
    set: function (person) {
      store.put("person." + contest, person);
      store.put("token." + person.id, person.token);
    },
    leave: function () { store.drop("person." + contest); },
    /* The token of whoever made this attempt, if that was on this phone. */
    tokenOf: function (attempt) { return store.get("token." + attempt.split(":")[0]); },
    /* The paper in hand: what the server gave, and the answers so far. */
    work: function (person, round) { return store.get(workKey(person, round)); },
    keepWork: function (person, work) { return store.put(workKey(person, work.round), work); },
    dropWork: function (person, round) { store.drop(workKey(person, round)); },
    /* Receipts, the newest first. */
    receipts: function (person, round) {
      return (store.get(receiptsKey(person)) || []).filter(function (receipt) { return !round || receipt.round === round; });
    },
    addReceipt: function (person, receipt) {
      var others = (store.get(receiptsKey(person)) || []).filter(function (r) { return r.attempt_id !== receipt.attempt_id; });
      store.put(receiptsKey(person), [receipt].concat(others).slice(0, 30));
    }
  };
})();
