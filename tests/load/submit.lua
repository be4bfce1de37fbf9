-- Sends each prepared body once and writes down the attempt of every 202, so that each can be looked for afterwards.
local bodies, at, acknowledged = {}, 0, nil

function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  acknowledged = io.open(args[2], "w")
  wrk.method, wrk.path = "POST", args[3]
  wrk.headers["Content-Type"] = "application/json"
  repeats = args[4] == "repeat"
end

function request()
  at = at + 1
  if at > #bodies then
    if not repeats then wrk.thread:stop() end
    at = 1
  end
  return wrk.format(nil, nil, nil, bodies[at])
end

function response(status, headers, body)
  if status == 202 and not repeats then
    acknowledged:write(body:match('"attempt_id":"([^"]+)"'), "\n")
  end
end

function done(summary, latency, requests)
  io.write(string.format(
    "FIGURES %d %d %d %.3f %.3f\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
