-- Lets go of every answer that may have words of these documents; how many there were.
-- KEYS: documents. All of a tenant's keys are in one slot of a cluster, the answers' too.
local gone = 0
for _, document in ipairs(KEYS) do
    for _, answer in ipairs(redis.call('ZRANGE', document, 0, -1)) do
        gone = gone + redis.call('DEL', answer)
    end
    redis.call('DEL', document)
end
return gone
