-- wrk sends the requests of a file (see load/__init__.py) in the file's order, over and over, and reports as JSON.
local requests, order, at = {}, {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local count = file:read("*n")
  for number = 1, count do
    local length = file:read("*n")
    file:read(1)
    requests[number] = file:read(length)
  end
  local steps = file:read("*n")
  for step = 1, steps do
    order[step] = file:read("*n") + 1
  end
  file:close()
end

function request()
  at = at % #order + 1
  return requests[order[at]]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failed": %d, "broken": %d, "median_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
