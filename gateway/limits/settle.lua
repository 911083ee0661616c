-- Gives the places of a lease back and corrects what it reserved to what was used, where that is still in its window.
-- KEYS as in reserve.lua. ARGV: the lease; then of each claim the slot of each window (-1: no limit) and the correction.
for claim = 1, #KEYS / 4 do
    local key, argument = 4 * (claim - 1), 1 + 6 * (claim - 1)
    redis.call('ZREM', KEYS[key + 1], ARGV[1])
    for measure = 1, 3 do
        local name, slot, more = KEYS[key + 1 + measure], ARGV[argument + 2 * measure - 1], ARGV[argument + 2 * measure]
        if more ~= '0' and redis.call('HEXISTS', name, slot) == 1 then
            redis.call('HINCRBY', name, slot, more)
            redis.call('HINCRBY', name, 'total', more)
        end
    end
end
return 1
