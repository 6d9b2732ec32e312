//! What goes out: each action of the machine is carried out, here or by a task that comes back as an [`Outcome`].

use super::*;

impl Loop {
    /// The running call's figures: the media's as of now, the room's asked without waiting here.
    pub(super) fn figures(&self) -> impl Future<Output = Option<serde_json::Value>> + Send + 'static {
        let parts = self.running.as_ref().map(|r| {
            let media = r.session.as_ref().map(Session::statistics);
            (r.call, media, r.room.as_ref().map(RoomHandle::statistics))
        });
        async move {
            let (call, media, room) = parts?;
            let room = match room {
                Some(room) => room.await,
                None => None,
            };
            Some(serde_json::json!({ "call": call, "room": room, "media": media }))
        }
    }

    pub(super) fn perform(&mut self) -> usize {
        let mut count = 0;
        while let Some(action) = self.agent.machine.poll_action() {
            count += 1;
            log::debug!("{action:?}");
            match action {
                Action::Wake(call) => {
                    // Before the television is touched: what it writes down comes after this on the disk.
                    if let Some((_, offer)) = self.agent.machine.current().filter(|(current, _)| *current == call) {
                        journal::call_began(call, &offer.caller.line, &offer.caller.id);
                        self.agent.store.began(call, offer, jiff::Timestamp::now());
                    }
                    self.to_tv(tv::Command::Wake(call));
                }
                Action::Show(scene) => self.to_tv(tv::Command::Show(scene)),
                Action::Prepare(call, offer) => self.prepare(call, offer),
                Action::Reply { call, offer, reply, repeat } => self.reply(call, offer, reply, repeat),
                Action::Connect { call, camera, .. } => self.connect(call, camera),
                Action::Mute(call, muted) => {
                    reached(if muted { Point::Muting } else { Point::Unmuting });
                    if let Some(running) = self.running.as_ref().filter(|r| r.call == call) {
                        running.session.iter().for_each(|s| s.mute(muted));
                        running.room.iter().for_each(|r| r.mute(muted));
                    }
                }
                Action::Disconnect(call) => self.disconnect(call),
                Action::Restore(call) => {
                    reached(Point::RestoreOrdered);
                    self.to_tv(tv::Command::Restore(call));
                }
                Action::Record(record) => self.record(record),
            }
        }
        count
    }

    /// The machine wants the way into the room: it is there already, or on its way, or asked for now.
    pub(super) fn prepare(&mut self, call: CallId, offer: Offer) {
        reached(Point::Preparing);
        match self.entry.as_mut().filter(|e| e.call == call && e.reference == offer.reference) {
            Some(Entry { ticket: Some(_), .. }) => self.agent.machine.handle(now(), Event::Prepared(call, Ok(()))),
            Some(entry) => entry.wanted = true,
            None => self.ask(call, offer, true),
        }
    }

    /// Asks the line for the way into the offer's room.
    pub(super) fn ask(&mut self, call: CallId, offer: Offer, wanted: bool) {
        let reference = offer.reference.clone();
        self.entry = Some(Entry { call, reference: reference.clone(), ticket: None, ahead: !wanted, wanted });
        let line = self.line(&offer);
        self.tasks.spawn(async move {
            let ticket = match line {
                Some(line) => ticket(line, offer).await,
                None => Err("the line is gone; restart residentd".into()),
            };
            Some(Outcome::Ticket(call, reference, ticket))
        });
    }

    pub(super) fn line(&self, offer: &Offer) -> Option<LineHandle> {
        self.agent.lines.iter().find(|l| l.id == offer.caller.line).cloned()
    }

    pub(super) fn reply(&mut self, call: Option<CallId>, offer: Offer, reply: Reply, repeat: bool) {
        let number = call.map_or(0, |c| c.0);
        reached(match reply {
            Reply::Accepted => Point::AcceptedOrdered,
            Reply::Ended => Point::EndedOrdered,
            Reply::Declined(_) => Point::DeclinedOrdered,
        });
        let (line, caller) = (offer.caller.line.0.as_str(), offer.caller.id.0.as_str());
        match reply {
            Reply::Declined(Decline::NoCamera) => {
                log::warn!(MESSAGE_ID = messages::NO_CAMERA.id, CALL_ID = number, LINE = line, CALLER_ID = caller; "declined: there is no camera");
            }
            Reply::Declined(Decline::NoMicrophone) => {
                log::warn!(MESSAGE_ID = messages::NO_MICROPHONE.id, CALL_ID = number, LINE = line, CALLER_ID = caller; "declined: there is no microphone");
            }
            reply => log::info!(CALL_ID = number, LINE = line, CALLER_ID = caller; "reply: {reply:?}"),
        }
        if let (Some(call), Reply::Accepted) = (call, reply) {
            self.agent.store.accepted(call, jiff::Timestamp::now());
        }
        self.happened(Happening::Replied { call, reply });
        match self.line(&offer) {
            Some(line) => {
                if line.commands.try_send(LineCommand::Reply { offer, reply, repeat }).is_err() {
                    log::error!(MESSAGE_ID = messages::LINE_STUCK.id, CALL_ID = number; "the line does not take replies any more: it hangs; please report this");
                }
            }
            None => log::error!(MESSAGE_ID = messages::DEFECT.id, CALL_ID = number; "no line for this reply; restart residentd"),
        }
    }

    pub(super) fn connect(&mut self, call: CallId, camera: bool) {
        reached(Point::Connecting);
        // Joining takes over whatever an earlier run left in the room, and must not be taken over itself.
        if let Some(eviction) = self.eviction.take() {
            eviction.abort();
        }
        let (to_room_events, room_events) = mpsc::channel(64);
        let (to_media_events, media_events) = mpsc::channel(64);
        let ticket = self.entry.take().filter(|e| e.call == call).and_then(|e| e.ticket);
        let (config, outputs, events) = (self.agent.media.clone(), self.agent.outputs.clone(), to_media_events.clone());
        self.running = Some(Running {
            call,
            camera,
            ticket,
            session: None,
            room: None,
            room_events,
            media_events,
            to_room_events,
            _media_open: to_media_events,
        });
        self.tasks.spawn_blocking(move || {
            reached(Point::SessionOpening);
            Some(Outcome::Session(call, Session::open(config, camera, outputs, events)))
        });
    }

    /// Devices are open and the ticket is there: into the room.
    pub(super) fn join(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(session) = running.session.clone() else { return };
        match running.ticket.take() {
            Some(ticket) => {
                reached(Point::RoomJoining);
                let (settings, events) = (self.agent.rooms.clone(), running.to_room_events.clone());
                running.room = Some(room::join(ticket, settings, session, running.camera, events));
            }
            None => {
                let call = running.call;
                self.tell(Event::Room(call, RoomEvent::Failed("no ticket to the room; please report this".into())));
            }
        }
    }

    pub(super) fn disconnect(&mut self, call: CallId) {
        let figures = self.figures();
        let Some(running) = self.running.take_if(|r| r.call == call) else { return };
        reached(Point::Disconnecting);
        // The devices first: nothing below may delay them.
        if let Some(session) = running.session {
            self.close(call, session);
        }
        if let Some(room) = running.room {
            let happenings = self.agent.happenings.clone();
            self.tasks.spawn(async move {
                if let Ok(Some(figures)) = tokio::time::timeout(Duration::from_millis(200), figures).await {
                    log::info!(CALL_ID = call.0; "figures of the call: {figures}");
                    let _ = happenings.send(Happening::Figures { call, figures });
                }
                reached(Point::RoomLeaving);
                room.leave().await;
                reached(Point::RoomLeft);
                None
            });
        }
    }

    pub(super) fn close(&mut self, call: CallId, session: Session) {
        let happenings = self.agent.happenings.clone();
        self.tasks.spawn_blocking(move || {
            reached(Point::DevicesClosing);
            session.close();
            reached(Point::DevicesClosed);
            let _ = happenings.send(Happening::Closed { call });
            None
        });
    }

    pub(super) fn record(&mut self, record: Record) {
        self.entry.take_if(|e| e.call == record.call);
        log::info!(
            CALL_ID = record.call.0, LINE = record.caller.line.0.as_str(), CALLER_ID = record.caller.id.0.as_str();
            "call over: {:?}", record.ending
        );
        reached(Point::RecordMade);
        self.agent.store.ended(&record);
        reached(Point::RecordHanded);
        self.happened(Happening::Over(record));
    }
}

/// What is needed to join the offer's room.
pub(super) async fn ticket(line: LineHandle, offer: Offer) -> Result<Ticket, String> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        line.commands.send(LineCommand::Ticket { offer, answer }).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(TICKET, asked).await {
        Ok(Some(ticket)) => ticket,
        Ok(None) => Err("the line ended; restart residentd".into()),
        Err(_) => Err(format!("the line did not answer within {} s; check its state", TICKET.as_secs())),
    }
}
