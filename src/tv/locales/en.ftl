# What the resident reads, in English. Short: every word is at least 45 pixels high.
video-call = Video call
audio-call = Audio call
answer = Answer
answer-now = Answer now
decline = Decline
answers-by-itself = Answers by itself
any-other-key-stops = Any other key: do not answer by itself
devices-off = Camera and microphone are off
connecting = Connecting …
camera-on = Camera on
camera-stays-off = Your camera stays off
no-camera-now = No camera
microphone-off = Microphone off
weak = Weak connection
hang-up = Hang up
key-back = BACK
key-ok = OK
ended = The call has ended
ended-by-you = You hung up
ended-declined = Not answered
ended-by-resident = You declined
ended-withdrawn = They stopped calling
ended-failed = The connection was lost
ended-media = Sound or picture failed
ended-maximum = The time is over
missed =
    { $calls ->
        [one] Missed call
       *[other] { $calls } missed calls
    }
missed-more =
    { $calls ->
        [one] and one more
       *[other] and { $calls } more
    }
any-key-closes = Any key closes this
no-camera = wanted to see you
no-camera-why = There is no camera connected
role-customeradmin = Care team
role-supporter = Family and friends
role-staff = Care staff
role-resident = Resident
today = Today, { $time }
yesterday = Yesterday, { $time }
date = { $day } { $month }, { $time }
month =
    { $number ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    }
