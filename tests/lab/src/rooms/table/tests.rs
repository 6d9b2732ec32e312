//! The table with messages that nobody should send.

use super::*;

/// Numbers that look random and come again for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn value(&mut self) -> Value {
        let values = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1),
            json!(2),
            json!(u64::MAX),
            json!(0.5),
            json!(""),
            json!("pc"),
            json!("offer"),
            json!("answer"),
            json!("close"),
            json!("video"),
            json!([]),
            json!({}),
            json!([null, {"id": "pc"}]),
        ];
        values[self.roll(values.len())].clone()
    }

    /// Puts something else in one place of a message.
    fn spoil(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) if !fields.is_empty() && self.roll(4) > 0 => {
                let index = self.roll(fields.len());
                if let Some(field) = fields.values_mut().nth(index) {
                    self.spoil(field);
                }
            }
            Value::Array(items) if !items.is_empty() && self.roll(4) > 0 => {
                let index = self.roll(items.len());
                self.spoil(&mut items[index]);
            }
            other => *other = self.value(),
        }
    }
}

fn rules(pairing: Pairing) -> Rules {
    let second = Duration::from_secs(1);
    Rules { pairing, session_timeout: second * 30, peer_loss: second * 5, secret: "s".to_owned() }
}

#[test]
fn spoiled_messages_in_any_order_neither_break_the_table_nor_let_it_grow() {
    let begun = Instant::now();
    for seed in 1..=2000u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut table = Table::new(rules(if seed % 2 == 0 { Pairing::NewcomerOffers } else { Pairing::ExistingOffers }));
        let mut sessions = vec!["none".to_owned()];
        for step in 0..30 {
            let session = sessions[dice.roll(sessions.len())].clone();
            let mut body = json!({
                "name": "r", "session": session, "participant": {"revision": step + 1, "tracks": [{"id": "t", "kind": "video", "enabled": true}]},
                "peer_connections": [{
                    "id": "pc", "description": {"type": "offer", "revision": 1, "sdp": "v=0"},
                    "ice": {"ufrag": "u", "candidates": [{"candidate": "c", "sdpMid": "0"}], "revision": 1, "complete": true},
                }],
            });
            if dice.roll(2) == 0 {
                dice.spoil(&mut body);
            }
            let conn = dice.roll(4) as ConnId;
            let ticket = Ticket { identity: format!("i{}", dice.roll(3)), room: None };
            let now = begun + Duration::from_secs(step);
            match dice.roll(7) {
                0 | 1 => drop(table.connect(conn, &body, &ticket)),
                2 => drop(table.sync(conn, &body)),
                3 | 4 => drop(table.updated(&body)),
                5 => table.lost(conn, now),
                _ => table.disconnected(&body),
            }
            table.expire(now);
            sessions.extend(table.out.drain(..).filter_map(|(_, b)| b["session"].as_str().map(str::to_owned)));
            // Three identities, so never more than three people in a room, whatever else is said.
            assert!(table.rooms.values().all(|r| r.members.len() <= 3 && r.links.len() <= 6), "seed {seed}, step {step}");
            assert_eq!(table.people.len(), table.rooms.values().map(|r| r.members.len()).sum::<usize>(), "seed {seed}, step {step}");
            assert_eq!(table.people.len(), table.sessions.len(), "seed {seed}, step {step}");
        }
        table.expire(begun + Duration::from_secs(3600));
        (0..4).for_each(|conn| table.lost(conn, begun));
        table.expire(begun + Duration::from_secs(3600));
        assert!(table.people.is_empty() && table.by_conn.is_empty(), "seed {seed}: somebody is left");
        assert!(table.rooms.values().all(|r| r.links.is_empty()), "seed {seed}: a connection of nobody is left");
    }
}
