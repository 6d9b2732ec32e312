//! Plays ring and notice tones, before and beside calls: no microphone, no camera, and nothing of
//! GStreamer.

use super::super::SoundOut;
use super::super::pipeline::CLOSE_WITHIN;
use super::super::source::lock;
use super::FRAME;
use super::speaker::{Sink, Ticks};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

/// What becomes of a tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playing {
    /// The first samples were handed to the output and it took them.
    Heard,
    /// It was to be played once, and has been.
    Ended,
    /// The output does not play, and why; it is tried again until the player is stopped.
    Silent(String),
}

/// Is told what becomes of the tone, on the player's thread: must not block.
pub type Tell = Box<dyn FnMut(Playing) + Send>;

/// A tone that is being played. Dropping it stops it.
pub struct Player {
    stop: Mutex<Option<mpsc::Sender<()>>>,
    done: Mutex<mpsc::Receiver<()>>,
    volume: Arc<Mutex<f32>>,
}

impl Player {
    /// Plays `tone` (48 kHz mono) at `volume` (0..=1, linear), once or over and over.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn play(out: SoundOut, tone: Arc<[i16]>, repeat: bool, volume: f32, tell: Tell) -> std::io::Result<Player> {
        let (stop, stopped) = mpsc::channel();
        let (finished, done) = mpsc::sync_channel(1);
        let volume = Arc::new(Mutex::new(sane(volume)));
        let loudness = volume.clone();
        std::thread::Builder::new().name("media-tone".into()).spawn(move || {
            run(out, &tone, repeat, &loudness, tell, &stopped);
            let _ = finished.send(());
        })?;
        Ok(Player { stop: Mutex::new(Some(stop)), done: Mutex::new(done), volume })
    }

    /// Changes the volume (0..=1, linear), without a click.
    pub fn set_volume(&self, volume: f32) {
        *lock(&self.volume) = sane(volume);
    }

    /// Stops at once; the output is let go a moment later. Nobody waits here.
    pub fn hush(&self) {
        lock(&self.stop).take();
    }

    /// Stops at once, and lets go of the output before it returns (250 ms at most). Idempotent.
    pub fn stop(&self) {
        if lock(&self.stop).take().is_some() {
            let _ = lock(&self.done).recv_timeout(CLOSE_WITHIN);
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // The thread sees the end by itself; nobody waits here.
        lock(&self.stop).take();
    }
}

fn sane(volume: f32) -> f32 {
    if volume.is_finite() { volume.clamp(0.0, 1.0) } else { 0.0 }
}

fn run(out: SoundOut, tone: &[i16], repeat: bool, volume: &Mutex<f32>, mut tell: Tell, stopped: &mpsc::Receiver<()>) {
    let mut sink = Sink::new(out, Default::default());
    let mut ticks = Ticks::start();
    let (mut at, mut heard, mut silent) = (0usize, false, false);
    let mut gain = *lock(volume);
    let give_up = |since: Instant| since.elapsed() > CLOSE_WITHIN;
    let mut ended: Option<Instant> = None;
    while ticks.wait(stopped) {
        let wanted = *lock(volume);
        let mut frame = [0i16; 2 * FRAME];
        let mut next = at;
        if !tone.is_empty() {
            for (i, pair) in frame.chunks_exact_mut(2).enumerate() {
                if next >= tone.len() && repeat {
                    next = 0;
                }
                let Some(sample) = tone.get(next) else { break };
                let gain = gain + (wanted - gain) * i as f32 / FRAME as f32;
                pair.fill((f32::from(*sample) * gain) as i16);
                next += 1;
            }
        }
        gain = wanted;
        match sink.play(&frame) {
            // What nobody heard is not skipped: the tone begins when the output is there.
            Err(reason) => {
                if !std::mem::replace(&mut silent, true) {
                    tell(Playing::Silent(reason));
                }
                continue;
            }
            Ok(()) => at = next,
        }
        if !heard && sink.heard() {
            (heard, silent) = (true, false);
            tell(Playing::Heard);
        }
        if !repeat && at >= tone.len() {
            // A sound card still holds the last of it.
            let since = *ended.get_or_insert_with(Instant::now);
            if sink.immediate() || give_up(since) {
                tell(Playing::Ended);
                break;
            }
        }
    }
    sink.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn start(tone: &[i16], repeat: bool, volume: f32) -> (Player, mpsc::Receiver<Vec<i16>>, mpsc::Receiver<Playing>) {
        let (samples, played) = mpsc::channel();
        let (told, tells) = mpsc::channel();
        let out = SoundOut::Samples(Arc::new(move |s: &[i16]| samples.send(s.to_vec()).unwrap_or(())));
        let player = Player::play(out, tone.into(), repeat, volume, Box::new(move |p| told.send(p).unwrap_or(()))).unwrap();
        (player, played, tells)
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_tone_played_once_comes_out_whole_on_both_channels_and_then_ends() {
        let tone: Vec<i16> = (0..1000).map(|i| i * 10).collect();
        let (_player, played, tells) = start(&tone, false, 0.5);
        assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Playing::Heard);
        assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Playing::Ended);
        let all: Vec<i16> = played.iter().flatten().collect();
        assert_eq!(all.len(), 3 * 2 * FRAME);
        assert!(all.chunks_exact(2).all(|p| p[0] == p[1]));
        let left: Vec<i16> = all.iter().step_by(2).take(1000).copied().collect();
        assert_eq!(left, tone.iter().map(|s| s / 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_ring_goes_round_until_it_is_stopped_and_then_gives_nothing_more() {
        let (player, played, tells) = start(&[100i16; 480], true, 1.0);
        assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Playing::Heard);
        for _ in 0..5 {
            assert!(played.recv_timeout(PATIENCE).unwrap().iter().all(|s| *s == 100));
        }
        player.stop();
        while played.try_recv().is_ok() {}
        // The thread is gone, and with it the sending end.
        assert_eq!(played.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
        player.stop();
    }

    #[test]
    fn a_ring_that_is_hushed_by_somebody_else_gives_nothing_more() {
        let (player, played, tells) = start(&[100i16; 480], true, 1.0);
        assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Playing::Heard);
        let player = Arc::new(player);
        player.clone().hush();
        while played.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Disconnected) {}
        player.stop();
    }

    #[test]
    fn the_volume_follows_without_a_jump() {
        let (player, played, _tells) = start(&[10_000i16; 480], true, 0.0);
        assert!(played.recv_timeout(PATIENCE).unwrap().iter().all(|s| *s == 0));
        player.set_volume(1.0);
        let mut all = Vec::new();
        while all.last() != Some(&10_000) {
            all.extend(played.recv_timeout(PATIENCE).unwrap());
        }
        let step = all.iter().step_by(2).zip(all.iter().step_by(2).skip(1)).map(|(a, b)| (b - a).abs()).max().unwrap();
        assert!(step <= 10_000 / FRAME as i16 + 30, "a jump of {step}");
    }

    #[test]
    fn a_sound_card_that_is_not_there_is_silent_with_a_reason_and_stops_at_once() {
        let (told, tells) = mpsc::channel();
        let out = SoundOut::Alsa("hw:CARD=Missing".into());
        let player = Player::play(out, vec![1i16; 480].into(), true, 1.0, Box::new(move |p| told.send(p).unwrap_or(()))).unwrap();
        assert!(matches!(tells.recv_timeout(PATIENCE).unwrap(), Playing::Silent(reason) if !reason.is_empty()));
        player.stop();
        assert!(!tells.iter().any(|t| t == Playing::Heard));
    }

    #[test]
    fn a_sound_card_tells_when_it_has_taken_the_first_samples() {
        let (told, tells) = mpsc::channel();
        // ALSA's own device for nobody: opened, filled and closed as a card is.
        let out = SoundOut::Alsa("null".into());
        let player = Player::play(out, vec![1i16; 480].into(), true, 1.0, Box::new(move |p| told.send(p).unwrap_or(()))).unwrap();
        assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Playing::Heard);
        player.stop();
        assert_eq!(tells.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
