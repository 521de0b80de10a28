-- Sends the requests of a file. Its first line is the method; the others are the paths of GETs, or the
-- path of a POST, a space and its body, and are sent in turn. In a body, @NUMBER@ is a number and
-- @WORD@ a word that come in no other request of the run; @INCIDENT@ is a number that eight requests
-- in a row have.

local requests = {}
local is_post = false
local number = 0
local headers = { ["Content-Type"] = "application/json" }
local consonants = "bdfghklmnprstvwz"
local vowels = "aeiou"

local function word_of(value)
    local word = ""
    repeat
        local consonant = value % 16 + 1
        local vowel = math.floor(value / 16) % 5 + 1
        word = word .. consonants:sub(consonant, consonant) .. vowels:sub(vowel, vowel)
        value = math.floor(value / 80)
    until value == 0
    return word
end

-- A line in pieces: the path, then texts, and between them what stands for a number or a word.
local function pieces_of(line)
    local path, body = line:match("^(%S+) (.*)$")
    local pieces = { path = path }
    local from = 1
    while true do
        local first, last, mark = body:find("@(%u+)@", from)
        if not first then
            pieces[#pieces + 1] = body:sub(from)
            return pieces
        end
        pieces[#pieces + 1] = body:sub(from, first - 1)
        pieces[#pieces + 1] = { mark = mark }
        from = last + 1
    end
end

function init(arguments)
    local lines = io.lines(arguments[1])
    is_post = lines() == "POST"
    for line in lines do
        requests[#requests + 1] = is_post and pieces_of(line) or wrk.format("GET", line)
    end
end

function request()
    local chosen = requests[number % #requests + 1]
    number = number + 1
    if not is_post then
        return chosen
    end
    local parts = {}
    for index, piece in ipairs(chosen) do
        if type(piece) == "string" then
            parts[index] = piece
        elseif piece.mark == "NUMBER" then
            parts[index] = tostring(number)
        elseif piece.mark == "INCIDENT" then
            parts[index] = tostring(math.floor((number - 1) / 8))
        else
            parts[index] = word_of(number)
        end
    end
    return wrk.format("POST", chosen.path, headers, table.concat(parts))
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n@{"requests":%d,"microseconds":%d,"connect":%d,"read":%d,"write":%d,"status":%d,'
            .. '"timeout":%d,"mean":%f,"p50":%f,"p90":%f,"p95":%f,"p99":%f,"p99_9":%f,"max":%f}\n',
        summary.requests, summary.duration, errors.connect, errors.read, errors.write, errors.status,
        errors.timeout, latency.mean, latency:percentile(50), latency:percentile(90),
        latency:percentile(95), latency:percentile(99), latency:percentile(99.9), latency.max))
end
