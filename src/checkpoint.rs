//! The moments of a call at which a test kills the daemon, to see what the next start makes of it, or has it stand still:
//! all of them are named here. In builds for use there is nothing behind [`reached`].

macro_rules! points {
    ($($(#[$about:meta])* $point:ident = $name:literal,)*) => {
        /// A moment of a call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$about])* $point,)*
        }

        impl Point {
            /// Every one, in about the order of a call.
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            /// Its name: the value of [`VARIABLE`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Point::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// The call is on the disk.
    CallWritten = "call-written",
    /// What is to be put back on the television is.
    TelevisionWritten = "television-written",
    /// And the television's task knows that it is.
    TelevisionRemembered = "television-remembered",
    /// It was switched on.
    PowerSet = "power-set",
    /// It was switched to the box.
    InputSet = "input-set",
    /// It was turned up.
    VolumeSet = "volume-set",
    /// It is on.
    TelevisionWoken = "television-woken",
    /// The agent knows that.
    WokenHeard = "woken-heard",
    /// The agent knows that the dialog is seen and heard.
    NoticedHeard = "noticed-heard",
    /// A key arrived at the agent.
    KeyHeard = "key-heard",
    /// The local API asks to accept.
    AcceptAsked = "accept-asked",
    /// The room's ticket is about to be asked for.
    Preparing = "preparing",
    /// The line asks for it.
    TicketAsked = "ticket-asked",
    /// The line has it.
    TicketGot = "ticket-got",
    /// The agent has it.
    TicketHeard = "ticket-heard",
    /// The caller is about to be told `accepted`.
    AcceptedOrdered = "accepted-ordered",
    /// The line is about to send it.
    AcceptedSending = "accepted-sending",
    /// It is handed to the connection.
    AcceptedSent = "accepted-sent",
    /// That the call is accepted is on the disk.
    AcceptedWritten = "accepted-written",
    /// Devices and room are about to be opened.
    Connecting = "connecting",
    /// In the thread that opens the devices.
    SessionOpening = "session-opening",
    /// They are open.
    SessionOpen = "session-open",
    /// The room is about to be joined.
    RoomJoining = "room-joining",
    /// Its signalling socket is open.
    SocketOpened = "socket-opened",
    /// It gave its relays.
    ServersGiven = "servers-given",
    /// Our first description is made.
    Offered = "offered",
    /// We are in the room, as the room says.
    RoomJoined = "room-joined",
    /// The agent knows that.
    JoinedHeard = "joined-heard",
    /// An answer to the caller's description is made, or theirs to ours taken.
    Answered = "answered",
    /// The peers have found each other.
    PeerConnected = "peer-connected",
    /// The agent knows that the caller is there.
    CallerArrivedHeard = "caller-arrived-heard",
    /// The caller is heard or seen.
    MediaFlowing = "media-flowing",
    /// The local API asks for something else.
    PressAsked = "press-asked",
    /// The microphone is being switched off.
    Muting = "muting",
    /// And on again.
    Unmuting = "unmuting",
    /// Devices and room are about to be closed.
    Disconnecting = "disconnecting",
    /// In the thread that closes the devices.
    DevicesClosing = "devices-closing",
    /// They are closed.
    DevicesClosed = "devices-closed",
    /// The room is about to be left.
    RoomLeaving = "room-leaving",
    /// It is left.
    RoomLeft = "room-left",
    /// The caller is about to be told `ended`.
    EndedOrdered = "ended-ordered",
    /// The line is about to send it.
    EndedSending = "ended-sending",
    /// It is handed to the connection.
    EndedSent = "ended-sent",
    /// The caller is about to be told `declined`.
    DeclinedOrdered = "declined-ordered",
    /// The call's record is made.
    RecordMade = "record-made",
    /// And handed to the store.
    RecordHanded = "record-handed",
    /// And on the disk.
    RecordWritten = "record-written",
    /// The television is about to be put back.
    RestoreOrdered = "restore-ordered",
    /// Its volume is back.
    VolumeRestored = "volume-restored",
    /// Its input is.
    InputRestored = "input-restored",
    /// Its power is.
    PowerRestored = "power-restored",
    /// Nothing is to be put back any more, and that is on the disk.
    TelevisionForgotten = "television-forgotten",
    /// At the next start: the call is in the log.
    OrphanLogged = "orphan-logged",
    /// Its caller is about to be told.
    OrphanTelling = "orphan-telling",
    /// The ticket to its room is there.
    OrphanTicket = "orphan-ticket",
    /// Nobody is left in its room.
    OrphanEvicted = "orphan-evicted",
}

/// The environment variable that names the point at which to end.
pub const VARIABLE: &str = "RESIDENTD_KILL_AT";

/// The environment variable that names the point at which whoever comes there stays for ever.
pub const STUCK: &str = "RESIDENTD_STICK_AT";

/// Says that this moment has come.
#[cfg(debug_assertions)]
pub fn reached(point: Point) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    static STAYS: OnceLock<Option<String>> = OnceLock::new();
    static WRITTEN: AtomicBool = AtomicBool::new(false);
    if point == Point::CallWritten {
        WRITTEN.store(true, Ordering::Relaxed);
    }
    while STAYS.get_or_init(|| std::env::var(STUCK).ok()).as_deref() == Some(point.name()) {
        std::thread::park();
    }
    let wanted = WANTED.get_or_init(|| std::env::var(VARIABLE).ok());
    if wanted.as_deref() == Some(point.name()) {
        // A call begins when it is on the disk; what is done beside the writing may be a few milliseconds ahead of it.
        let ahead = (point as usize) < (Point::OrphanLogged as usize);
        for _ in 0..1000 {
            if !ahead || WRITTEN.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // The signal that nothing can catch: whatever is not on the disk or on the wire by now is lost.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Says that this moment has come.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reached(_: Point) {}
