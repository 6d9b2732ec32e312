# Was die Bewohnerin oder der Bewohner liest. Kurz: jedes Wort ist mindestens 45 Bildpunkte hoch.
video-call = Videoanruf
audio-call = Anruf
answer = Annehmen
answer-now = Annehmen
decline = Ablehnen
answers-by-itself = Nimmt selbst ab
any-other-key-stops = Andere Taste: nicht von selbst abnehmen
devices-off = Kamera und Mikrofon sind aus
connecting = Verbindung wird aufgebaut …
camera-on = Kamera an
camera-stays-off = Ihre Kamera bleibt aus
no-camera-now = Keine Kamera
microphone-off = Mikrofon aus
weak = Schwache Verbindung
hang-up = Auflegen
key-back = ZURÜCK
key-ok = OK
ended = Der Anruf ist beendet
ended-by-you = Sie haben aufgelegt
ended-declined = Nicht angenommen
ended-by-resident = Sie haben abgelehnt
ended-withdrawn = Anruf abgebrochen
ended-failed = Die Verbindung ist verloren
ended-media = Ton oder Bild ausgefallen
ended-maximum = Die Zeit ist um
missed =
    { $calls ->
        [one] Verpasster Anruf
       *[other] { $calls } verpasste Anrufe
    }
missed-more =
    { $calls ->
        [one] und ein weiterer
       *[other] und { $calls } weitere
    }
any-key-closes = Jede Taste schließt dies
no-camera = wollte Sie sehen
no-camera-why = Es ist keine Kamera angeschlossen
role-customeradmin = Pflegeteam
role-supporter = Familie und Freunde
role-staff = Pflegepersonal
role-resident = Bewohner
today = Heute, { $time }
yesterday = Gestern, { $time }
date = { $day }. { $month }, { $time }
month =
    { $number ->
        [1] Januar
        [2] Februar
        [3] März
        [4] April
        [5] Mai
        [6] Juni
        [7] Juli
        [8] August
        [9] September
        [10] Oktober
        [11] November
       *[12] Dezember
    }
