-- Sends the requests of a file made by benches/tools/presigned.rs, each once: wrk ... -s scripts/replay.lua -- FILE THREADS
local threads = 0

function setup(thread)
   thread:set("first", threads)
   threads = threads + 1
end

function init(args)
   local file, step = assert(io.open(args[1], "rb")), tonumber(args[2])
   requests, at, sent_again = {}, 1, 0
   local number = 0
   while true do
      local length = file:read("*l")
      if not length then break end
      local bytes = file:read(tonumber(length))
      if number % step == first then requests[#requests + 1] = bytes end
      number = number + 1
   end
   file:close()
end

function request()
   if at > #requests then
      at, sent_again = 1, sent_again + 1
   end
   at = at + 1
   return requests[at - 1]
end

local all = {}
local collect = setup
function setup(thread)
   collect(thread)
   all[#all + 1] = thread
end

function done(summary, latency)
   local again = 0
   for _, thread in ipairs(all) do again = again + thread:get("sent_again") end
   io.write(string.format("RESULT requests=%d micros=%d failed=%d socket_errors=%d p50=%d p99=%d p999=%d again=%d\n",
      summary.requests, summary.duration, summary.errors.status,
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9), again))
end
