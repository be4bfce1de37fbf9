/* The board moves by itself. The plain view lives on the event stream; a filtered view, the chart and a browser without streams
   fetch the page again now and then, each at a moment of its own, and take its figures over. ES5, for old Android WebViews. */
(function () {
  "use strict";

  var board = document.getElementById("board");
  var filter = document.getElementById("board-filter");
  var figures = {};
  var stream = null;
  var due = 0;
  var FILTERED_MS = 15000, CHART_MS = 60000, ALONE_MS = 30000;

  function showNumber(number) {
    var separator = document.documentElement.lang === "en" ? "," : ".";
    return String(number).replace(/\B(?=(\d{3})+$)/g, separator);
  }

  /* Writes a number where it has changed, and lets it light up. */
  function put(element, number) {
    var text = showNumber(number);
    if (!element || element.textContent === text) { return false; }
    element.textContent = text;
    return true;
  }

  /* People per headcount, where that is known. */
  function putRate(element, people) {
    var headcount = element && Number(element.getAttribute("data-headcount"));
    if (!headcount) { return; }
    var english = document.documentElement.lang === "en";
    var rate = (100 * people / headcount).toFixed(1).split(".");
    element.textContent = showNumber(rate[0]) + (english ? "." : ",") + rate[1] + (english ? "%" : "\u00a0%");
  }

  function lightUp(element) {
    element.className = "";
    void element.offsetWidth; // begins the animation anew
    element.className = "board-grew";
  }

  function countOf(row) {
    return { people: Number(row.getAttribute("data-people")), attempts: Number(row.getAttribute("data-attempts")) };
  }

  function rows() {
    return Array.prototype.slice.call(board.querySelectorAll("#board-rows tr"));
  }

  function fill(row, count) {
    var people = put(row.querySelector(".board-people"), count.people);
    var attempts = put(row.querySelector(".board-attempts"), count.attempts);
    if (!people && !attempts) { return false; }
    putRate(row.querySelector(".board-rate"), count.people);
    row.setAttribute("data-people", count.people);
    row.setAttribute("data-attempts", count.attempts);
    lightUp(row);
    return true;
  }

  /* Ranks as the server does: by people, then attempts; equals share a rank and keep their order by name. */
  function rank() {
    var ranked = rows().map(function (row, index) {
      var count = countOf(row);
      return { row: row, index: index, people: count.people, attempts: count.attempts, name: row.querySelector(".board-unit").textContent };
    });
    ranked.sort(function (a, b) {
      return b.people - a.people || b.attempts - a.attempts || a.name.localeCompare(b.name, "vi") || a.index - b.index;
    });
    var last = null, place = 0;
    ranked.forEach(function (entry, index) {
      var level = last && last.people === entry.people && last.attempts === entry.attempts;
      place = level ? place : index + 1;
      last = entry;
      entry.row.querySelector(".board-rank").textContent = place;
      var progress = entry.row.querySelector("progress");
      progress.max = Math.max(ranked[0].people, 1);
      progress.value = entry.people;
      if (entry.row.parentNode.children[index] !== entry.row) {
        entry.row.parentNode.insertBefore(entry.row, entry.row.parentNode.children[index]);
      }
    });
  }

  /* The time of day where the contest is, wherever the reader may be. */
  function showTime(iso) {
    var time = document.getElementById("board-time");
    var at = new Date(Date.parse(iso) + 60000 * Number(time.getAttribute("data-offset")));
    time.setAttribute("datetime", iso);
    time.textContent = at.toISOString().slice(11, 19);
  }

  function onTurnout(event) {
    var news = JSON.parse(event.data);
    if (board.getAttribute("data-filtered")) {
      fetchSoon(FILTERED_MS);
      return;
    }
    if (news.whole) { figures = {}; }
    news.rows.forEach(function (row) { figures[row.unit] = row; });
    var changed = false;
    rows().forEach(function (row) {
      var count = figures[row.getAttribute("data-unit")];
      if (count || news.whole) { changed = fill(row, count || { people: 0, attempts: 0 }) || changed; }
    });
    if (changed) { rank(); }
    showTime(news.as_of);
    var parent = board.getAttribute("data-parent");
    var total = parent ? figures[parent] : news.totals;
    if (total) {
      put(document.getElementById("board-people"), total.people);
      put(document.getElementById("board-attempts"), total.attempts);
      putRate(document.getElementById("board-rate"), total.people);
    }
    if (!news.whole) { fetchSoon(CHART_MS); }
  }

  /* Fetches the page again, once, after about so many milliseconds. */
  function fetchSoon(milliseconds) {
    if (due) { return; }
    due = setTimeout(fetchPage, milliseconds * (0.75 + Math.random() / 2));
  }

  function fetchPage() {
    var request = new XMLHttpRequest();
    due = 0;
    request.open("GET", location.href);
    request.responseType = "document";
    request.onload = function () {
      if (request.status === 200 && request.response) { takeOver(request.response); }
    };
    request.onloadend = function () {
      if (!stream) { fetchSoon(ALONE_MS); }
    };
    request.send();
  }

  function takeOver(page) {
    if (board.contains(document.activeElement)) { // somebody walks through it with the keyboard
      fetchSoon(FILTERED_MS);
      return;
    }
    var before = {};
    rows().forEach(function (row) { before[row.getAttribute("data-unit")] = countOf(row); });
    ["board", "board-round"].forEach(function (id) {
      var mine = document.getElementById(id), theirs = page.getElementById(id);
      if (mine && theirs) { mine.innerHTML = theirs.innerHTML; }
    });
    rows().forEach(function (row) {
      var old = before[row.getAttribute("data-unit")], now = countOf(row);
      if (old && (old.people !== now.people || old.attempts !== now.attempts)) { lightUp(row); }
    });
  }

  function listen() {
    if (!window.EventSource) {
      fetchSoon(ALONE_MS);
      return;
    }
    var states = {};
    stream = new EventSource("/api/v1/stream?contest=" + encodeURIComponent(board.getAttribute("data-contest")));
    stream.addEventListener("turnout", onTurnout);
    stream.addEventListener("round", function (event) {
      var round = JSON.parse(event.data);
      if (states[round.round] && states[round.round] !== round.state) { fetchSoon(4000); }
      states[round.round] = round.state;
    });
    stream.onerror = function () {
      // The browser comes back by itself, unless the server said no.
      if (stream.readyState === 2) {
        stream = null;
        fetchSoon(ALONE_MS);
        setTimeout(listen, 60000 + Math.random() * 60000);
      }
    };
  }

  filter.className += " board-auto";
  filter.addEventListener("change", function () { filter.submit(); });
  if (board) { listen(); }
})();
