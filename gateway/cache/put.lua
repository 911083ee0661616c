-- Holds an answer until its time, and its key with each document that it may have words of.
-- KEYS: the answer, then its documents. ARGV: the sealed answer, its end in milliseconds since the epoch.
local ends = tonumber(ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for n = 2, #KEYS do
    redis.call('ZREMRANGEBYSCORE', KEYS[n], '-inf', now)
    redis.call('ZADD', KEYS[n], ends, KEYS[1])
    local last = redis.call('ZRANGE', KEYS[n], -1, -1, 'WITHSCORES')
    redis.call('PEXPIREAT', KEYS[n], last[2])
end
return 1
