-- Takes an amount and a place from all claims, or nothing from any, in one step.
-- KEYS, of each claim: its leases (sorted by expiry), its windows of requests, tokens and dollars (hashes by slot).
-- ARGV: slots of a window; the lease, "" to only look; milliseconds until it expires; the three amounts; then of each
-- claim its places and, for each window, its limit and its slots' milliseconds (-1: no limit).
-- Returns now, the claim and measure refused (0: none), milliseconds to wait; then of each claim the leases in flight
-- and, of each window, what is used and the newest slot.
local SOON = 1000
local slots, lease, expires = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local need = {tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local refused_claim, refused_measure, wait = 0, 0, -1

local function refuse(claim, measure, milliseconds)
    if milliseconds > wait then
        refused_claim, refused_measure, wait = claim, measure, milliseconds
    end
end

-- What a window holds, once the slots that lie before it whole are dropped; and its newest slot.
local function used(key, width)
    local state = redis.call('HMGET', key, 'total', 'oldest', 'newest')
    if not state[1] then
        return 0, 0
    end
    local total, oldest, newest = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
    local first = math.floor(now / width) - slots
    if newest < first then
        redis.call('DEL', key)
        return 0, 0
    end
    if oldest < first then
        for slot = oldest, first - 1 do
            local amount = redis.call('HGET', key, slot)
            if amount then
                total = total - tonumber(amount)
                redis.call('HDEL', key, slot)
            end
        end
        redis.call('HSET', key, 'total', total, 'oldest', first)
    end
    return total, newest
end

-- What leases hold of a measure and may give back. Requests are spent when they are admitted.
local function held(leases, measure)
    local sum = 0
    if measure > 1 then
        for _, member in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
            local _, tokens, dollars = member:match('^(%x+):(%d+):(%d+)$')
            sum = sum + tonumber(measure == 2 and tokens or dollars)
        end
    end
    return sum
end

-- Milliseconds until less than the limit is used, if what is held is all given back.
local function frees(key, width, limit, total, kept)
    local left = total - kept
    if left < limit then
        return SOON
    end
    local bounds = redis.call('HMGET', key, 'oldest', 'newest')
    for slot = tonumber(bounds[1]) or 0, tonumber(bounds[2]) or -1 do
        left = left - (tonumber(redis.call('HGET', key, slot)) or 0)
        if left < limit then
            return (slot + slots + 1) * width - now
        end
    end
    return slots * width
end

local claims = {}
for claim = 1, #KEYS / 4 do
    local key, argument = 4 * (claim - 1), 6 + 7 * (claim - 1)
    local leases, places = KEYS[key + 1], tonumber(ARGV[argument + 1])
    redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
    local flying = redis.call('ZCARD', leases)
    if places >= 0 and flying >= places then
        refuse(claim, 1, SOON)
    end
    local windows = {}
    for measure = 1, 3 do
        local name = KEYS[key + 1 + measure]
        local limit, width = tonumber(ARGV[argument + 2 * measure]), tonumber(ARGV[argument + 1 + 2 * measure])
        local window = {name = name, limit = limit, width = width, total = 0, newest = 0}
        if limit >= 0 then
            window.total, window.newest = used(name, width)
            if need[measure] > 0 and window.total >= limit then
                refuse(claim, 1 + measure, frees(name, width, limit, window.total, held(leases, measure)))
            end
        end
        windows[measure] = window
    end
    claims[claim] = {leases = leases, flying = flying, windows = windows}
end

if wait < 0 and lease ~= '' then
    for _, claim in ipairs(claims) do
        redis.call('ZADD', claim.leases, now + expires, lease)
        redis.call('PEXPIRE', claim.leases, expires)
        claim.flying = claim.flying + 1
        for measure, window in ipairs(claim.windows) do
            if window.limit >= 0 then
                local slot = math.max(math.floor(now / window.width), window.newest)
                redis.call('HINCRBY', window.name, slot, need[measure])
                redis.call('HINCRBY', window.name, 'total', need[measure])
                redis.call('HSETNX', window.name, 'oldest', slot)
                redis.call('HSET', window.name, 'newest', slot)
                redis.call('PEXPIRE', window.name, (slots + 2) * window.width)
                window.total, window.newest = window.total + need[measure], slot
            end
        end
    end
end

local told = {now, refused_claim, refused_measure, wait}
for _, claim in ipairs(claims) do
    told[#told + 1] = claim.flying
    for _, window in ipairs(claim.windows) do
        told[#told + 1] = window.total
        told[#told + 1] = window.newest
    end
end
return told
