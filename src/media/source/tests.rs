use super::*;
use std::time::Instant;
use watch::RETRY_FIRST;

const PATIENCE: Duration = Duration::from_secs(60);

fn way(description: &str, needs: u64) -> Way {
    Way { description: format!("{description} ! appsink name=out sync=false"), about: "a way".into(), needs, bring: None }
}

const GOOD: &str = "audiotestsrc is-live=true";
const BAD: &str = "filesrc location=/nonexistent/device";

/// A source with these ways; its fates, and how often stand-ins came.
fn start(ways: Ways, diagnose: Diagnose) -> (Source, mpsc::Receiver<Fate>, mpsc::Receiver<usize>, Arc<AtomicU64>) {
    crate::media::gstreamer().unwrap();
    let (tell, fates) = mpsc::channel();
    let (sized, sizes) = mpsc::channel();
    let stand_ins: Arc<AtomicU64> = Arc::default();
    let count = stand_ins.clone();
    let plan = Plan {
        name: "microphone",
        ways,
        diagnose,
        deliver: Arc::new(move |sample, _| {
            let _ = sized.send(sample.buffer().unwrap().size());
        }),
        deliver_coded: None,
        stand_in: Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }),
        stand_in_every: Duration::from_millis(5),
        patience: PATIENCE,
        stall: PATIENCE,
        tell: Box::new(move |fate| {
            let _ = tell.send(fate);
        }),
    };
    (Source::start(plan, Time::start()).unwrap(), fates, sizes, stand_ins)
}

#[test]
fn a_bus_without_room_makes_it_step_down_to_what_needs_less() {
    // The second way would work, but needs as much as the first: it is not tried.
    let buffers_of = |n: u32| format!("audiotestsrc is-live=true samplesperbuffer={n} ! audio/x-raw,format=S16LE,channels=1");
    let ways = vec![way(BAD, 100), way(&buffers_of(100), 100), way(&buffers_of(50), 60)];
    let diagnose: Diagnose = Arc::new(|_| Diagnosis::NoRoom("no room".into()));
    let (_source, fates, sizes, _) = start(Arc::new(move || Ok(ways.clone())), diagnose);
    assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Running);
    assert_eq!(sizes.recv_timeout(PATIENCE).unwrap(), 2 * 50);
}

#[test]
fn a_way_that_does_not_work_for_another_reason_is_followed_by_the_next() {
    let ways = vec![way(BAD, 100), way(GOOD, 100)];
    let (_source, fates, ..) = start(Arc::new(move || Ok(ways.clone())), Arc::new(|_| Diagnosis::Unclear));
    assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Running);
}

#[test]
fn what_is_hopeless_is_told_with_its_reason_and_tried_again() {
    let asked: Arc<AtomicU64> = Arc::default();
    let ways: Ways = {
        let asked = asked.clone();
        // Busy twice, then free: with another way to open it.
        Arc::new(move || Ok(vec![way(if asked.fetch_add(1, Ordering::SeqCst) < 2 { BAD } else { GOOD }, 0), way(BAD, 0)]))
    };
    let (_source, fates, ..) = start(ways, Arc::new(|_| Diagnosis::Hopeless("process 7 (x) has it open".into())));
    assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Lost("process 7 (x) has it open".into()));
    assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Back);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_device_that_is_not_there_says_so_and_stand_ins_flow_while_its_driver_thinks() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let asked: Arc<AtomicU64> = Arc::default();
    let ways: Ways = Arc::new(move || {
        if asked.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = lock(&held).recv();
        }
        Err("it is not there".into())
    });
    let (source, fates, _, stand_ins) = start(ways, Arc::new(|_| Diagnosis::Unclear));
    assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Lost("it is not there".into()));
    // More of them than fit into the pause before the second try.
    let most = RETRY_FIRST.as_millis() as u64 / 5 + 20;
    let start = Instant::now();
    while stand_ins.load(Ordering::Relaxed) < most {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(source);
    drop(release);
}
