//! What comes in: each event of a line, the television, the room, the media, the local API or a task of the agent is put
//! into the machine's words.

use super::*;

impl Loop {
    pub(super) fn on_line(&mut self, line: LineId, event: LineEvent) {
        match event {
            LineEvent::State(state) => {
                match &state {
                    LineState::Online => log::info!(LINE = line.0.as_str(); "online: calls can arrive"),
                    LineState::Connecting => log::info!(LINE = line.0.as_str(); "connecting"),
                    LineState::Offline { why, retry } => {
                        log::warn!(MESSAGE_ID = messages::LINE_OFFLINE.id, LINE = line.0.as_str(); "offline: {why}; trying again in {} s", retry.as_secs());
                    }
                }
                if state == LineState::Online {
                    self.settle_orphan(&line);
                }
                self.agent.status.send_modify(|s| {
                    s.lines.insert(line.0, LineStatus { state, since: jiff::Timestamp::now() });
                });
            }
            LineEvent::Offered(offer) => {
                self.look_at_devices();
                self.happened(Happening::Offered { caller: offer.caller.clone(), medium: offer.medium });
                let caller = offer.caller.clone();
                self.tell(Event::Offered(offer.clone()));
                self.ask_ahead(offer);
                self.fetch_photo(caller);
            }
            LineEvent::Withdrawn(withdrawal) => {
                self.tell(Event::Withdrawn(withdrawal));
            }
            LineEvent::Wake => self.to_tv(tv::Command::Announced),
            LineEvent::Resident { locale, time_zone } => {
                if let Some(zone) = time_zone.as_deref().filter(|_| self.agent.follow_platform.time_zone) {
                    match jiff::tz::TimeZone::get(zone) {
                        Ok(zone) => self.agent.machine.set_zone(zone),
                        Err(e) => {
                            log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id; "the platform names an unknown time zone: {e}; set resident.time_zone")
                        }
                    }
                }
                let time_zone = time_zone.filter(|_| self.agent.follow_platform.time_zone);
                let locale = locale.filter(|_| self.agent.follow_platform.locale);
                self.to_tv(tv::Command::Resident { locale, time_zone });
            }
            LineEvent::Logging(details) => journal::raise(details),
            LineEvent::Wishes(Wishes { av_key, menu_key, default_input }) => {
                self.to_tv(tv::Command::Wishes(tv::Wishes { av_key, menu_key, default_input }));
            }
            LineEvent::ReplyUncertain(offer) => {
                if let Some(call) = self.agent.machine.call_of(&offer) {
                    self.tell(Event::ReplyUncertain(call));
                }
            }
        }
    }

    /// While it rings, the way into the room is got already.
    fn ask_ahead(&mut self, offer: Offer) {
        let Some((call, current)) = self.agent.machine.current() else { return };
        let known = self.entry.as_ref().is_some_and(|e| e.call == call && e.reference == offer.reference);
        let running = self.running.as_ref().is_some_and(|r| r.call == call);
        if *current == offer && !known && !running {
            self.ask(call, offer, false);
        }
    }

    /// The picture of the caller whose call is being dealt with; who is told `busy` is not looked up.
    pub(super) fn fetch_photo(&mut self, caller: Caller) {
        let ours = self.agent.machine.current().is_some_and(|(_, offer)| offer.caller == caller);
        let Some(address) = caller.photo.clone().filter(|_| ours) else { return };
        let (photos, tv) = (self.agent.photos.clone(), self.agent.tv.clone());
        self.tasks.spawn(async move {
            match photos.fetch(&address).await {
                Ok(bytes) => drop(tv.send(tv::Command::Photo(tv::Whose::from(&caller), bytes)).await),
                Err(why) => log::info!(CALLER_ID = caller.id.0.as_str(); "no photograph of the caller: {why}"),
            }
            None
        });
    }

    /// Devices come and go without telling; what counts is what is there when somebody calls.
    pub(super) fn look_at_devices(&mut self) {
        let (camera, microphone) = (self.agent.media.camera.is_present(), self.agent.media.microphone.is_present());
        self.tell(Event::Devices { camera, microphone });
        self.agent.status.send_if_modified(|s| {
            let changed = (s.camera, s.microphone) != (camera, microphone);
            (s.camera, s.microphone) = (camera, microphone);
            changed
        });
    }

    pub(super) fn on_tv(&mut self, event: TvEvent) {
        match event {
            TvEvent::Press(press) => {
                reached(Point::KeyHeard);
                self.tell(Event::Press(press));
            }
            TvEvent::Noticed(call) => {
                reached(Point::NoticedHeard);
                self.tell(Event::Noticed(call));
            }
            TvEvent::Unnoticed(call, why) => {
                log::warn!(MESSAGE_ID = messages::CALL_UNNOTICED.id, CALL_ID = call.0; "the resident cannot see or hear the call: {why}");
                self.tell(Event::Unnoticed(call));
            }
            TvEvent::Woken(wake) => {
                reached(Point::WokenHeard);
                log::info!("television: {wake:?}");
                self.agent.status.send_modify(|s| s.woken = Some(wake));
            }
            TvEvent::Restored(call) => {
                // By now the caller has heard, or never will.
                self.agent.store.settled(call);
                journal::call_over(call);
                self.happened(Happening::Restored { call });
            }
        }
    }

    /// For those who look; nothing here is decided by it.
    pub(super) fn on_television(&mut self) {
        let seen = self.agent.television.borrow_and_update().clone();
        self.agent.status.send_modify(|s| s.television = seen);
    }

    /// The room's paths are made anew when the box has moved; the lines try now what waits.
    pub(super) fn on_network(&mut self, change: Change) {
        if change == Change::Moved {
            self.running.iter().filter_map(|r| r.room.as_ref()).for_each(RoomHandle::network_changed);
        }
        for line in &self.agent.lines {
            // A line whose inbox is full is busy with the network already.
            let _ = line.commands.try_send(LineCommand::NetworkChanged);
        }
    }

    pub(super) fn on_room(&mut self, call: CallId, event: RoomEvent) {
        match &event {
            RoomEvent::Joined => reached(Point::JoinedHeard),
            RoomEvent::CallerArrived => reached(Point::CallerArrivedHeard),
            _ => {}
        }
        if let RoomEvent::Failed(why) = &event {
            log::warn!(MESSAGE_ID = messages::ROOM_FAILED.id, CALL_ID = call.0; "{why}");
            self.happened(Happening::Notice { call, text: why.clone() });
        } else {
            log::info!(CALL_ID = call.0; "room: {event:?}");
        }
        self.tell(Event::Room(call, event));
    }

    pub(super) fn on_media(&mut self, call: CallId, event: MediaEvent) {
        match event {
            MediaEvent::Flowing(media) => {
                reached(Point::MediaFlowing);
                self.happened(Happening::Flowing { call, media });
                self.tell(Event::Room(call, RoomEvent::MediaFlowing));
            }
            MediaEvent::CameraLost(why) => {
                log::warn!(MESSAGE_ID = messages::CAMERA_LOST.id, CALL_ID = call.0; "{why}");
                self.happened(Happening::Notice { call, text: why });
                let microphone = self.agent.media.microphone.is_present();
                self.tell(Event::Devices { camera: false, microphone });
            }
            MediaEvent::CameraBack => {
                self.happened(Happening::Notice { call, text: "the camera is back".into() });
                let microphone = self.agent.media.microphone.is_present();
                self.tell(Event::Devices { camera: true, microphone });
            }
            MediaEvent::Failed(why) => {
                log::error!(MESSAGE_ID = messages::MEDIA_FAILED.id, CALL_ID = call.0; "{why}");
                self.happened(Happening::Notice { call, text: why.clone() });
                self.tell(Event::MediaFailed(call, why));
            }
        }
    }

    pub(super) fn on_request(&mut self, request: Request) {
        match request {
            Request::Press(press, answer) => {
                reached(if press == Press::Accept { Point::AcceptAsked } else { Point::PressAsked });
                // A press that changes nothing leads to no action.
                let _ = answer.send(self.tell(Event::Press(press)) > 0);
            }
            Request::Key(name, answer) => {
                let key = tv::keys::Key::by_name(&name);
                let _ = answer.send(key.is_some());
                for pressed in [true, false] {
                    if let Some(key) = key {
                        self.to_tv(tv::Command::Key(tv::keys::Stroke { key, pressed }));
                    }
                }
            }
            Request::Calls(limit, answer) => {
                let store = self.agent.store.clone();
                self.tasks.spawn_blocking(move || {
                    let _ = answer.send(store.log(limit));
                    None
                });
            }
            Request::Statistics(answer) => {
                let figures = self.figures();
                self.tasks.spawn(async move {
                    let _ = answer.send(figures.await);
                    None
                });
            }
        }
    }

    pub(super) fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ticket(call, reference, result) => {
                let Some(entry) = self.entry.as_mut().filter(|e| e.call == call && e.reference == reference) else { return };
                match result {
                    Ok(ticket) => {
                        reached(Point::TicketHeard);
                        entry.ticket = Some(ticket);
                        if entry.wanted {
                            self.tell(Event::Prepared(call, Ok(())));
                        }
                    }
                    Err(why) => {
                        log::warn!(MESSAGE_ID = messages::TICKET_FAILED.id, CALL_ID = call.0; "no way into the call's room: {why}");
                        let Entry { ahead, wanted, .. } = *entry;
                        self.entry = None;
                        let offer = self.agent.machine.current().filter(|(current, _)| *current == call).map(|(_, offer)| offer.clone());
                        match offer {
                            Some(offer) if wanted && ahead => self.ask(call, offer, true),
                            _ if wanted => drop(self.tell(Event::Prepared(call, Err(why)))),
                            // Asked again when the call is answered.
                            _ => {}
                        }
                    }
                }
            }
            Outcome::Settled(call) => self.settled(call),
            Outcome::Session(call, Ok(session)) => match self.running.as_mut().filter(|r| r.call == call) {
                Some(running) => {
                    reached(Point::SessionOpen);
                    running.session = Some(session);
                    self.happened(Happening::Opened { call, camera: self.running.as_ref().is_some_and(|r| r.camera) });
                    self.join();
                }
                // The call ended while its devices were being opened.
                None => self.close(call, session),
            },
            Outcome::Session(call, Err(why)) => {
                log::error!(MESSAGE_ID = messages::MEDIA_FAILED.id, CALL_ID = call.0; "{why}");
                self.tell(Event::MediaFailed(call, why.to_string()));
            }
        }
    }
}
