//! Which of a camera's offers is taken, and why, in words. Pure: a list goes in, a ladder comes out, best step first.
//! Whoever opens the camera tries the steps in turn, and after "no room on the bus" goes down to one that needs less.

use super::offer::{Bus, Coding, Mode, Pixels, Rate, needs};
use serde::Serialize;
use std::fmt;

/// Fewer pictures a second are no moving picture: hands blur, lips do not fit.
pub const LEAST_RATE: Rate = Rate::whole(15);

/// The best steps are tried whatever they need; a decoder may be missing, an offer may be a lie.
const ALTERNATIVES: usize = 3;
/// Steps in all.
const STEPS: usize = 8;
/// Each further step needs so much of the one before, in percent: what hardly helps is not tried.
const STEP_DOWN: u64 = 75;

/// The picture that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// The call prefers H.264: a camera's own stream can be sent as it is.
    pub h264: bool,
}

/// One step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// How the camera codes it.
    pub coding: Coding,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second; `None`: the camera does not say.
    pub rate: Option<Rate>,
    /// What it needs of the bus, bytes a second, estimated.
    pub needs: u64,
    /// Why it stands where it stands.
    pub why: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.coding, self.width, self.height)?;
        if let Some(rate) = self.rate {
            write!(f, " at {rate}/s")?;
        }
        Ok(())
    }
}

/// What counts, for one mode at one rate.
struct Step<'a> {
    mode: &'a Mode,
    rate: Option<Rate>,
    needs: u64,
    fits: bool,
    smooth: bool,
    score: f64,
}

/// The ladder for a camera with these offers on this bus. Empty only when nothing offered can be read here.
pub fn choose(modes: &[Mode], want: Want, bus: Bus) -> Vec<Choice> {
    let mut steps: Vec<Step> = modes.iter().flat_map(|mode| rates(mode, want).into_iter().map(move |r| step(mode, r, want, bus))).collect();
    steps.sort_by(|a, b| {
        let key = |s: &Step| (s.fits, s.smooth);
        key(b).cmp(&key(a)).then(b.score.total_cmp(&a.score)).then(a.needs.cmp(&b.needs))
    });
    let mut ladder: Vec<Step> = Vec::new();
    for step in steps {
        let same = ladder.iter().any(|s| {
            (s.mode.coding, s.mode.width, s.mode.height, s.rate) == (step.mode.coding, step.mode.width, step.mode.height, step.rate)
        });
        let least = ladder.iter().map(|s| s.needs).min().unwrap_or(u64::MAX);
        let helps = ladder.len() < ALTERNATIVES || step.needs <= least / 100 * STEP_DOWN;
        if !same && helps && ladder.len() < STEPS {
            ladder.push(step);
        }
    }
    let best = ladder.first().map(|s| why(s, modes, want, bus));
    let mut least = u64::MAX;
    ladder
        .into_iter()
        .zip(best.into_iter().map(Some).chain(std::iter::repeat(None)))
        .map(|(s, best)| {
            let less = s.needs < least;
            least = least.min(s.needs);
            let other = if less { "in case the bus has no room for more" } else { "in case the better one does not work" };
            Choice {
                coding: s.mode.coding,
                width: s.mode.width,
                height: s.mode.height,
                rate: s.rate,
                needs: s.needs,
                why: best.unwrap_or_else(|| other.to_owned()),
            }
        })
        .collect()
}

/// The rates of a mode worth a look: the one nearest above what is wanted, and the lowest that still moves.
fn rates(mode: &Mode, want: Want) -> Vec<Option<Rate>> {
    let wanted = Rate::whole(want.fps.max(1));
    let (Some(lowest), Some(highest)) = (mode.rates.iter().min().copied(), mode.rates.iter().max().copied()) else { return vec![None] };
    let at_least = |least: Rate| {
        if mode.any_between && lowest <= least && least <= highest {
            return least;
        }
        mode.rates.iter().copied().filter(|r| *r >= least).min().unwrap_or(highest)
    };
    let mut found = vec![Some(at_least(wanted))];
    let slow = Some(at_least(LEAST_RATE.min(wanted)));
    if !found.contains(&slow) {
        found.push(slow);
    }
    found
}

fn step(mode: &Mode, rate: Option<Rate>, want: Want, bus: Bus) -> Step<'_> {
    // A camera that does not say gives 30 by custom.
    let assumed = rate.unwrap_or(Rate::whole(30));
    let needs = needs(mode.coding, mode.width, mode.height, assumed);
    let room = bus.room().unwrap_or(u64::MAX);
    let (w, h) = (u64::from(mode.width.min(1 << 16)), u64::from(mode.height.min(1 << 16)));
    let (ww, wh) = (u64::from(want.width.max(1)), u64::from(want.height.max(1)));
    // Pixels that arrive at the other end. Another shape gets black bars.
    let pixels = (w.min(ww) * h.min(wh)) as f64 / (ww * wh) as f64;
    let shape = if (w * wh).abs_diff(h * ww) * 20 <= w * wh { 1.0 } else { 0.7 };
    let rate_part = (assumed.per_second() / f64::from(want.fps.max(1))).min(1.0);
    // Work and loss: a decoder, a second one after the camera's own encoder, pixels and pictures that are thrown away.
    let coding = match mode.coding {
        Coding::Raw(Pixels::Gray8) => 0.2,
        Coding::Raw(_) => 1.0,
        Coding::Jpeg => 0.95,
        // No work at all.
        Coding::H264 if as_it_is(mode, want) => 1.05,
        Coding::H264 => 0.8,
    };
    let surplus = ((w * h) as f64 / (ww * wh) as f64).max(1.0) * (assumed.per_second() / f64::from(want.fps.max(1))).max(1.0);
    let score = pixels * shape * rate_part * coding / surplus.powf(0.05);
    Step { mode, rate, needs, fits: needs <= room, smooth: assumed >= LEAST_RATE, score }
}

/// Whether the stream of this mode can be what is sent: it follows the link, repairs itself, and is not too large.
fn as_it_is(mode: &Mode, want: Want) -> bool {
    mode.coding == Coding::H264 && mode.steered && want.h264 && mode.width <= want.width && mode.height <= want.height
}

/// Why the best one is the best, against what a technician would have expected.
fn why(best: &Step, modes: &[Mode], want: Want, bus: Bus) -> String {
    let megabytes = |bytes: u64| format!("{:.1} MB/s", bytes as f64 / 1e6);
    let raw = |m: &&Mode| matches!(m.coding, Coding::Raw(p) if p != Pixels::Gray8);
    let wanted = Rate::whole(want.fps.max(1)).max(LEAST_RATE);
    let mut reasons = Vec::new();
    match best.mode.coding {
        Coding::Raw(_) => reasons.push(match bus.room() {
            Some(room) => {
                format!("raw pictures need no decoding, and the bus has room for them ({} of {})", megabytes(best.needs), megabytes(room))
            }
            None => "raw pictures need no decoding".to_owned(),
        }),
        Coding::H264 if as_it_is(best.mode, want) => {
            reasons.push("its own stream is sent as it is, at the bitrate that the link bears".to_owned())
        }
        compressed => {
            let same = modes.iter().filter(raw).filter(|m| (m.width, m.height) == (best.mode.width, best.mode.height));
            let fastest = same.filter_map(|m| Some((*m.rates.iter().max()?, m))).max_by_key(|(r, _)| *r);
            let largest = modes.iter().filter(raw).max_by_key(|m| u64::from(m.width) * u64::from(m.height));
            reasons.push(match (fastest, largest, bus.room()) {
                (Some((rate, _)), ..) if rate < wanted.min(best.rate.unwrap_or(wanted)) => {
                    format!("raw pictures of this size come at {rate}/s only")
                }
                (Some((_, m)), _, Some(room)) => {
                    let needed = needs(m.coding, m.width, m.height, best.rate.unwrap_or(wanted));
                    format!("raw pictures would need {} of the bus's {}", megabytes(needed), megabytes(room))
                }
                (None, Some(m), _) => format!("raw pictures come in other sizes only, up to {}x{}", m.width, m.height),
                _ => "it has no raw pictures".to_owned(),
            });
            if compressed == Coding::H264 {
                reasons.push(
                    "it has no MJPEG that is as good; it is decoded here, and sent as it is only while that fits the link".to_owned(),
                );
            }
        }
    }
    if best.mode.width < want.width || best.mode.height < want.height {
        reasons.push(format!("nothing larger comes at {LEAST_RATE}/s or more"));
    }
    if !best.smooth {
        reasons.push(format!("it has nothing at {LEAST_RATE}/s or more: movements will jerk"));
    }
    if !best.fits {
        reasons.push("the bus is too slow for all that it offers: use a faster port".to_owned());
    }
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: Want = Want { width: 1280, height: 720, fps: 24, h264: true };

    fn mode(coding: Coding, width: u32, height: u32, rates: &[u32]) -> Mode {
        Mode { coding, width, height, rates: rates.iter().map(|r| Rate::whole(*r)).collect(), any_between: false, steered: false }
    }

    const YUYV: Coding = Coding::Raw(Pixels::Yuy2);
    const NV12: Coding = Coding::Raw(Pixels::Nv12);
    const GREY: Coding = Coding::Raw(Pixels::Gray8);

    /// A webcam of the usual kind: raw at any size, but slowly; MJPEG up to full HD.
    fn c920() -> Vec<Mode> {
        let mut all = vec![
            mode(YUYV, 640, 480, &[30, 24, 20, 15, 10, 5]),
            mode(YUYV, 640, 360, &[30, 24, 20, 15, 10, 5]),
            mode(YUYV, 800, 448, &[30, 24, 20, 15, 10, 5]),
            mode(YUYV, 864, 480, &[24, 20, 15, 10, 5]),
            mode(YUYV, 1280, 720, &[10, 5]),
            mode(YUYV, 1920, 1080, &[5]),
        ];
        all.extend([(640, 480), (1280, 720), (1920, 1080)].map(|(w, h)| mode(Coding::Jpeg, w, h, &[30, 24, 20, 15, 10, 5])));
        all
    }

    /// The same with its own encoder.
    fn c920_h264() -> Vec<Mode> {
        let mut all = c920();
        all.extend([(640, 480), (1280, 720), (1920, 1080)].map(|(w, h)| mode(Coding::H264, w, h, &[30, 24, 15])));
        all
    }

    /// One whose encoder can be told what to do.
    fn steered(modes: Vec<Mode>) -> Vec<Mode> {
        modes.into_iter().map(|m| Mode { steered: m.coding == Coding::H264, ..m }).collect()
    }

    /// The kernel's virtual camera: many sizes, the large ones slowly.
    fn vivid() -> Vec<Mode> {
        let fps = |n, d| Rate { pictures: n, seconds: d };
        let sizes =
            [(320, 180, fps(50, 1)), (640, 360, fps(40, 1)), (640, 480, fps(40, 1)), (1280, 720, fps(25, 2)), (1920, 1080, fps(5, 1))];
        sizes
            .iter()
            .map(|(w, h, r)| Mode { coding: YUYV, width: *w, height: *h, rates: vec![fps(1, 1), *r], any_between: true, steered: false })
            .collect()
    }

    /// What is expected of one camera.
    struct Case {
        camera: &'static str,
        modes: Vec<Mode>,
        bus: Bus,
        /// The best step.
        best: &'static str,
        /// In its reason.
        why: &'static str,
    }

    fn cases() -> Vec<Case> {
        let usb2 = Bus::Usb(480);
        vec![
            Case {
                camera: "webcam",
                modes: c920(),
                bus: usb2,
                best: "MJPEG 1280x720 at 24/s",
                why: "raw pictures of this size come at 10/s only",
            },
            Case { camera: "webcam with encoder", modes: c920_h264(), bus: usb2, best: "MJPEG 1280x720 at 24/s", why: "10/s only" },
            Case {
                camera: "fast bus, raw offered",
                modes: vec![mode(YUYV, 1280, 720, &[30]), mode(Coding::Jpeg, 1280, 720, &[30])],
                bus: Bus::Usb(5000),
                best: "raw (YUY2) 1280x720 at 30/s",
                why: "the bus has room for them (55.3 MB/s of 312.5 MB/s)",
            },
            Case {
                camera: "raw offered on a bus too slow for it",
                modes: vec![mode(YUYV, 1280, 720, &[30]), mode(Coding::Jpeg, 1280, 720, &[30])],
                bus: usb2,
                best: "MJPEG 1280x720 at 30/s",
                why: "raw pictures would need 55.3 MB/s of the bus's 22.0 MB/s",
            },
            Case {
                camera: "the cheapest webcam: VGA only",
                modes: vec![mode(YUYV, 640, 480, &[30, 15]), mode(YUYV, 320, 240, &[30, 15]), mode(YUYV, 160, 120, &[30])],
                bus: usb2,
                best: "raw (YUY2) 640x480 at 30/s",
                why: "nothing larger comes at 15/s or more",
            },
            Case {
                camera: "H.264 only",
                modes: vec![mode(Coding::H264, 1280, 720, &[30])],
                bus: usb2,
                best: "H.264 1280x720 at 30/s",
                why: "decoded here",
            },
            Case {
                camera: "webcam with an encoder that can be told what to do",
                modes: steered(c920_h264()),
                bus: usb2,
                best: "H.264 1280x720 at 24/s",
                why: "sent as it is",
            },
            Case {
                camera: "the same encoder, for a larger picture only",
                modes: steered(vec![mode(Coding::H264, 1920, 1080, &[30]), mode(Coding::Jpeg, 1280, 720, &[30])]),
                bus: usb2,
                best: "MJPEG 1280x720 at 30/s",
                why: "it has no raw pictures",
            },
            Case {
                camera: "H.264 large, raw small",
                modes: vec![mode(Coding::H264, 1280, 720, &[30]), mode(YUYV, 320, 240, &[30])],
                bus: usb2,
                best: "H.264 1280x720 at 30/s",
                why: "raw pictures come in other sizes only, up to 320x240",
            },
            Case {
                camera: "full HD only",
                modes: vec![mode(Coding::Jpeg, 1920, 1080, &[30]), mode(YUYV, 640, 480, &[30])],
                bus: usb2,
                best: "MJPEG 1920x1080 at 30/s",
                why: "up to 640x480",
            },
            Case {
                camera: "720p at 15, VGA at 30",
                modes: vec![mode(Coding::Jpeg, 1280, 720, &[15]), mode(Coding::Jpeg, 640, 480, &[30])],
                bus: usb2,
                best: "MJPEG 1280x720 at 15/s",
                why: "it has no raw pictures",
            },
            Case {
                camera: "720p too slow to move",
                modes: vec![mode(YUYV, 1280, 720, &[10]), mode(YUYV, 640, 360, &[30])],
                bus: usb2,
                best: "raw (YUY2) 640x360 at 30/s",
                why: "nothing larger comes at 15/s or more",
            },
            Case {
                camera: "nothing moves",
                modes: vec![mode(YUYV, 1280, 720, &[10, 5])],
                bus: usb2,
                best: "raw (YUY2) 1280x720 at 10/s",
                why: "movements will jerk",
            },
            Case {
                camera: "infrared beside colour",
                modes: vec![mode(GREY, 1280, 720, &[30]), mode(Coding::Jpeg, 640, 480, &[30])],
                bus: usb2,
                best: "MJPEG 640x480 at 30/s",
                why: "it has no raw pictures",
            },
            Case {
                camera: "vivid",
                modes: vivid(),
                bus: Bus::Other,
                best: "raw (YUY2) 640x360 at 24/s",
                why: "raw pictures need no decoding; nothing larger",
            },
            Case {
                camera: "a sensor without USB, any size, rates unknown",
                modes: vec![mode(NV12, 1280, 720, &[]), mode(NV12, 1920, 1080, &[])],
                bus: Bus::Other,
                best: "raw (NV12) 1280x720",
                why: "raw pictures need no decoding",
            },
        ]
    }

    #[test]
    fn the_best_offer_is_taken_and_said_why() {
        for case in cases() {
            let ladder = choose(&case.modes, WANT, case.bus);
            assert_eq!(ladder[0].to_string(), case.best, "{}: {ladder:#?}", case.camera);
            assert!(ladder[0].why.contains(case.why), "{}: {}", case.camera, ladder[0].why);
        }
    }

    #[test]
    fn a_call_that_prefers_vp8_has_no_use_for_the_camera_s_encoder() {
        let ladder = choose(&steered(c920_h264()), Want { h264: false, ..WANT }, Bus::Usb(480));
        assert_eq!(ladder[0].to_string(), "MJPEG 1280x720 at 24/s");
    }

    #[test]
    fn what_the_bus_cannot_carry_is_chosen_only_when_nothing_else_is_there() {
        let raw_only = [mode(YUYV, 1280, 720, &[30]), mode(YUYV, 640, 480, &[30])];
        let ladder = choose(&raw_only, WANT, Bus::Usb(12));
        assert!(ladder[0].why.contains("too slow for all that it offers"), "{ladder:#?}");
        // On USB 2 the smaller one fits.
        assert_eq!(choose(&raw_only, WANT, Bus::Usb(480))[0].to_string(), "raw (YUY2) 640x480 at 30/s");
    }

    #[test]
    fn every_camera_of_the_table_has_a_step_down_that_needs_a_quarter_less() {
        for case in cases().into_iter().filter(|c| c.modes.len() > 3) {
            let ladder = choose(&case.modes, WANT, case.bus);
            let lower = ladder.iter().skip(1).find(|s| s.needs * 4 <= ladder[0].needs * 3);
            assert!(lower.is_some_and(|s| s.why.contains("no room")), "{}: {ladder:#?}", case.camera);
            assert!(ladder.len() <= STEPS);
        }
    }

    #[test]
    fn a_ladder_never_holds_the_same_step_twice() {
        let doubled: Vec<Mode> = c920().into_iter().chain(c920()).collect();
        let ladder = choose(&doubled, WANT, Bus::Usb(480));
        for (i, step) in ladder.iter().enumerate() {
            assert!(ladder[i + 1..].iter().all(|s| s.to_string() != step.to_string()), "{ladder:#?}");
        }
    }

    #[test]
    fn nonsense_from_a_driver_is_survived() {
        let odd = [
            Mode {
                coding: YUYV,
                width: u32::MAX,
                height: u32::MAX,
                rates: vec![Rate { pictures: u32::MAX, seconds: 1 }],
                any_between: true,
                steered: false,
            },
            Mode {
                coding: Coding::Jpeg,
                width: 0,
                height: 0,
                rates: vec![Rate { pictures: 0, seconds: 1 }],
                any_between: false,
                steered: false,
            },
        ];
        let ladder = choose(&odd, Want { width: 0, height: 0, fps: 0, h264: false }, Bus::Usb(0));
        assert!(!ladder.is_empty());
        assert_eq!(choose(&[], WANT, Bus::Other), []);
    }

    #[test]
    fn rates_are_compared_and_written_exactly() {
        assert!(Rate { pictures: 30_000, seconds: 1001 } < Rate::whole(30));
        assert_eq!(Rate { pictures: 50, seconds: 2 }, Rate::whole(25));
        assert_eq!(
            [Rate { pictures: 25, seconds: 2 }, Rate { pictures: 30_000, seconds: 1001 }, Rate::whole(10)].map(|r| r.to_string()),
            ["12.5", "29.97", "10"]
        );
        assert_eq!(Rate::of_interval(1, 30), Some(Rate::whole(30)));
        assert_eq!(Rate::of_interval(0, 30), None);
    }
}
