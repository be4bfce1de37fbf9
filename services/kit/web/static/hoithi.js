/* What the scripts of all pages share: the page's data and sentences, storage, requests, the server's clock.
   ES5, for the WebViews of old phones. A page hands its data over in <script type="application/json" id="data">. */
var Hoithi = (function () {
  "use strict";

  var block = document.getElementById("data");
  var data = block ? JSON.parse(block.textContent) : {};
  var TIMEOUT_MS = 15000;

  function el(id) { return document.getElementById(id); }

  function show(element, visible) { element.hidden = !visible; }

  /* A sentence of the page with its braces filled in. */
  function say(name, values) {
    return (data.words[name] || name).replace(/\{(\w+)\}/g, function (all, key) {
      return values && values[key] !== undefined ? values[key] : all;
    });
  }

  function make(tag, attributes, text) {
    var element = document.createElement(tag);
    for (var name in attributes) { element.setAttribute(name, attributes[name]); }
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

  /* What stays on the phone. A browser that keeps nothing still gets through one visit; `lasts` tells. */
  var store = (function () {
    var memory = {}, lasts = true;
    try {
      localStorage.setItem("hoithi", "1");
    } catch (e) {
      lasts = false;
    }
    return {
      lasts: lasts,
      get: function (key) {
        var text = memory[key];
        try { text = localStorage.getItem("hoithi." + key) || text; } catch (e) { /* memory it is */ }
        try { return text ? JSON.parse(text) : null; } catch (e) { return null; }
      },
      put: function (key, value) {
        memory[key] = JSON.stringify(value);
        try { localStorage.setItem("hoithi." + key, memory[key]); return true; } catch (e) { return false; }
      },
      drop: function (key) {
        delete memory[key];
        try { localStorage.removeItem("hoithi." + key); } catch (e) { /* nothing was kept */ }
      }
    };
  })();

  /* Calls `done(status, document, retryAfterSeconds)`; status 0 is a connection that failed. */
  function request(method, path, body, token, done) {
    var call = new XMLHttpRequest();
    call.open(method, path);
    call.timeout = TIMEOUT_MS;
    call.setRequestHeader("Accept", "application/json");
    if (body) { call.setRequestHeader("Content-Type", "application/json"); }
    if (token) { call.setRequestHeader("Authorization", "Bearer " + token); }
    call.onloadend = function () {
      var answer = {};
      try { answer = JSON.parse(call.responseText) || {}; } catch (e) { /* a proxy's page */ }
      done(call.status, answer, Number(call.status ? call.getResponseHeader("Retry-After") : 0) || 0);
    };
    call.send(body ? JSON.stringify(body) : null);
  }

  /* The server's clock. It is set so that it never runs late: a paper is better handed in a moment early. */
  var clock = (function () {
    var offset = 0, steady = 0;
    var ticks = function () { return window.performance && performance.now ? performance.now() : Date.now(); };
    function set(serverMs, sentMs) {
      offset = serverMs - sentMs;
      steady = Date.now() - ticks();
    }
    return {
      set: set,
      now: function () { return Date.now() + offset; },
      /* Whether somebody has changed the phone's clock, or it slept. */
      jumped: function () { return Math.abs(Date.now() - ticks() - steady) > 1500; }
    };
  })();
  if (data.now) {
    var timing = window.performance && performance.timing;
    clock.set(data.now, (timing && timing.responseStart) || Date.now());
  }

  function two(n) { return (n < 10 ? "0" : "") + n; }

  /* A span of time: "2 ngày 4 giờ", "3 giờ 20 phút", "14:59". */
  function span(ms) {
    var s = Math.max(0, Math.ceil(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (d) { return say("days", { d: d, h: h % 24 }); }
    if (h) { return say("hours", { h: h, m: m % 60 }); }
    return m + ":" + two(s % 60);
  }

  /* A time in the contest's own time zone as people write it, e.g. "20:05 19/5". */
  function at(text) {
    var t = new Date(Date.parse(text) + data.zone * 60000);
    return two(t.getUTCHours()) + ":" + two(t.getUTCMinutes()) + " " + t.getUTCDate() + "/" + (t.getUTCMonth() + 1);
  }

  return {
    data: data, el: el, show: show, say: say, make: make, store: store, request: request, clock: clock, span: span, at: at
  };
})();
