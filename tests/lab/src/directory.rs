//! Who there is: customers, administrators, residents. The contract's people are always there; a JSON or TOML file adds
//! more or changes them (an entry with the id of somebody known replaces what it names).
//!
//! ```toml
//! [[resident]]
//! id = 1138
//! username = "ednamode"
//! first_name = "Edna"
//! last_name = "Mode"
//! set_top_box = 336
//! # optional: customer = 7, password = "password", locale = "en-GB", time_zone = "Europe/London", avatar = "https://…"
//!
//! [[administrator]]
//! id = 12
//! username = "night_shift"
//! # optional: user_type = "supporter", and all of the above but the box
//!
//! [[customer]]
//! id = 8
//! name = "Beta Homes"
//! ```

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What kind of account somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Calls residents; the text is the platform's `user_type` (`customeradmin`, `supporter`).
    Caller(String),
    /// Is called, on the set-top box of this id.
    Resident(u64),
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) username: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) customer: u64,
    pub(crate) locale: String,
    pub(crate) time_zone: String,
    pub(crate) avatar: String,
    pub(crate) role: Role,
    passwords: Vec<String>,
}

impl Person {
    pub(crate) fn accepts(&self, password: &str) -> bool {
        self.passwords.iter().any(|p| p == password)
    }

    pub(crate) fn is_resident(&self) -> bool {
        matches!(self.role, Role::Resident(_))
    }
}

/// An entry of a directory file; what is missing keeps its value or the default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonEntry {
    /// The id, unique among all accounts.
    pub id: u64,
    /// The login name, also the identity in video rooms.
    pub username: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// The password; `password` by default.
    pub password: Option<String>,
    /// The customer's id; 7 by default.
    pub customer: Option<u64>,
    /// The set-top box's id (residents only); the own id by default.
    pub set_top_box: Option<u64>,
    /// `customeradmin` or `supporter` (administrators only).
    pub user_type: Option<String>,
    /// Language tag.
    pub locale: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Address of a photograph.
    pub avatar: Option<String>,
}

/// A customer of a directory file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerEntry {
    /// The id.
    pub id: u64,
    /// The organisation's name.
    pub name: String,
}

/// A directory file's content: more people than the contract's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// Organisations.
    #[serde(default)]
    pub customer: Vec<CustomerEntry>,
    /// Accounts that call.
    #[serde(default)]
    pub administrator: Vec<PersonEntry>,
    /// Accounts that are called.
    #[serde(default)]
    pub resident: Vec<PersonEntry>,
}

/// Why a directory file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    /// It is not what it should be.
    #[error("{0}: {1}")]
    Parse(String, String),
    /// Two people share a login name.
    #[error("two accounts are called \"{0}\"; every user name must be its own")]
    Twice(String),
}

impl Entries {
    /// Reads a file: TOML when its name ends in `.toml`, else JSON.
    pub fn read(path: &Path) -> Result<Self, DirectoryError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| DirectoryError::Read(name.clone(), e))?;
        if path.extension().is_some_and(|e| e == "toml") {
            toml::from_str(&text).map_err(|e| DirectoryError::Parse(name, e.to_string()))
        } else {
            serde_json::from_str(&text).map_err(|e| DirectoryError::Parse(name, e.to_string()))
        }
    }
}

/// The customers and people of this lab.
#[derive(Debug)]
pub(crate) struct Directory {
    customers: BTreeMap<u64, String>,
    people: BTreeMap<u64, Person>,
}

impl Directory {
    pub(crate) fn new(entries: &Entries) -> Result<Self, DirectoryError> {
        let mut directory = Self { customers: BTreeMap::from([(7, "Acme Corp".to_owned())]), people: BTreeMap::new() };
        let named = |id, username: &str, first: &str, last: &str| PersonEntry {
            id,
            username: Some(username.to_owned()),
            first_name: Some(first.to_owned()),
            last_name: Some(last.to_owned()),
            ..PersonEntry::default()
        };
        directory.add(&named(5, "roger_chatta_admin", "Roger", "Admin"), false);
        directory.add(&named(6, "second_admin", "Sarah", "Second"), false);
        directory.add(&PersonEntry { set_top_box: Some(322), ..named(1124, "chattademo", "Dora", "Demo") }, true);
        directory.add(&PersonEntry { set_top_box: Some(335), ..named(1137, "chattaremote", "Rita", "Remote") }, true);
        for customer in &entries.customer {
            directory.customers.insert(customer.id, customer.name.clone());
        }
        entries.administrator.iter().for_each(|e| directory.add(e, false));
        entries.resident.iter().for_each(|e| directory.add(e, true));
        let mut names: Vec<_> = directory.people.values().map(|p| p.username.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(DirectoryError::Twice(pair[0].to_owned())),
            None => Ok(directory),
        }
    }

    fn add(&mut self, entry: &PersonEntry, resident: bool) {
        let known = self.people.get(&entry.id).filter(|p| p.is_resident() == resident).cloned();
        let mut person = known.unwrap_or_else(|| Person {
            id: entry.id,
            username: format!("user{}", entry.id),
            first_name: String::new(),
            last_name: String::new(),
            customer: 7,
            locale: "en-GB".to_owned(),
            time_zone: "Europe/London".to_owned(),
            // Callers have a photograph; an address without a host is one of the API's (and of the page's) own.
            avatar: if resident { String::new() } else { format!("/media/people/{}.png", entry.id) },
            role: if resident { Role::Resident(entry.id) } else { Role::Caller("customeradmin".to_owned()) },
            // `lab` is what the recorded REST samples log in with.
            passwords: vec!["password".to_owned(), "lab".to_owned()],
        });
        let set = |to: &mut String, from: &Option<String>| {
            if let Some(from) = from {
                to.clone_from(from);
            }
        };
        set(&mut person.username, &entry.username);
        set(&mut person.first_name, &entry.first_name);
        set(&mut person.last_name, &entry.last_name);
        set(&mut person.locale, &entry.locale);
        set(&mut person.time_zone, &entry.time_zone);
        set(&mut person.avatar, &entry.avatar);
        if let Some(password) = &entry.password {
            person.passwords = vec![password.clone()];
        }
        person.customer = entry.customer.unwrap_or(person.customer);
        match &mut person.role {
            Role::Resident(set_top_box) => *set_top_box = entry.set_top_box.unwrap_or(*set_top_box),
            Role::Caller(kind) => set(kind, &entry.user_type),
        }
        self.customers.entry(person.customer).or_insert_with(|| format!("Customer {}", person.customer));
        self.people.insert(person.id, person);
    }

    pub(crate) fn person(&self, id: u64) -> Option<&Person> {
        self.people.get(&id)
    }

    pub(crate) fn by_name(&self, username: &str) -> Option<&Person> {
        self.people.values().find(|p| p.username == username)
    }

    pub(crate) fn residents(&self, customer: u64) -> impl Iterator<Item = &Person> {
        self.people.values().filter(move |p| p.customer == customer && p.is_resident())
    }

    pub(crate) fn box_owner(&self, set_top_box: u64) -> Option<&Person> {
        self.people.values().find(|p| p.role == Role::Resident(set_top_box))
    }

    /// The customer object (contract chatta §2.3).
    pub(crate) fn customer_json(&self, id: u64) -> Option<Value> {
        let name = self.customers.get(&id)?;
        Some(json!({
            "id": id, "name": name, "slug": slug(name), "website": "", "is_active": true, "use_own_branding": false,
            "settings_menu_label": "Chatta", "assistance_menu_label": "Request Assistance", "settings_enabled": true,
            "assistance_enabled": true, "support_phone": "0161 496 0000", "support_url": "support.example.com", "sites": [9, 39],
            "created": "2014-01-22T09:45:55.012295Z", "modified": "2022-09-19T22:06:57.963689Z", "logo": "", "logo_original": "",
            "logo_thumb": "", "logo_large": "", "resident_count": self.residents(id).count(),
        }))
    }

    /// The set-top box object (contract chatta §2.5).
    pub(crate) fn box_json(&self, set_top_box: u64, resident: u64) -> Value {
        json!({
            "id": set_top_box, "resident": resident, "hardware_id": hardware(resident), "ip_address": null,
            "serial_number": format!("LAB{set_top_box}"), "model_number": "LABBOX1", "status": "stock", "is_active": true,
            "av_inputs": [{"id": 1, "name": "HDMI1"}, {"id": 2, "name": "HDMI2"}], "current_messenger_version": "",
            "current_sunrise_version": "", "logging_enabled": false, "av_key_enabled": true, "menu_key_enabled": true,
            "default_av_input": "", "firmware_version": "08.18.13",
        })
    }

    /// The full user object: a resident's with box and site. `customer` is its id at login and the whole object elsewhere
    /// (contract chatta §2.1 and §2.4).
    pub(crate) fn person_json(&self, person: &Person, online: bool, whole_customer: bool) -> Value {
        let customer = match self.customer_json(person.customer) {
            Some(object) if whole_customer => object,
            _ => json!(person.customer),
        };
        let mut user = json!({
            "id": person.id, "online": online, "username": person.username, "customer": customer,
            "email": format!("{}@example.com", person.username), "slug": person.username, "first_name": person.first_name,
            "last_name": person.last_name, "is_active": true, "date_joined": "2022-07-06T13:50:25.626018Z", "locale": person.locale,
            "time_zone": person.time_zone, "avatar": person.avatar, "avatar_original": person.avatar, "avatar_thumb": person.avatar,
            "avatar_large": person.avatar,
        });
        match &person.role {
            Role::Caller(kind) => user["user_type"] = json!(kind),
            Role::Resident(set_top_box) => {
                user["user_type"] = json!("resident");
                user["site"] = json!({
                    "id": 115, "name": "Lab House", "slug": "lab-house", "customer": person.customer,
                    "created": "2022-04-04T21:11:13.574744Z", "modified": "2022-04-04T21:11:13.574744Z", "lat": null, "lon": null,
                    "is_active": true, "calendar": 115, "resident_count": self.residents(person.customer).count(), "firmware_release": 15,
                });
                user["gender"] = json!("female");
                user["hardware_id"] = json!(hardware(person.id));
                user["deliver_to_inbox"] = json!(true);
                user["is_assistance_active"] = json!(true);
                user["set_top_box"] = self.box_json(*set_top_box, person.id);
                user["supporters"] = json!([829, 1132]);
                if person.avatar.is_empty() {
                    user["avatar"] = Value::Null;
                }
            }
        }
        user
    }
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn hardware(resident: u64) -> String {
    // The recorded resident 1124 has …:01:24.
    format!("02:00:00:00:{:02}:{:02}", resident / 100 % 10, resident % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_people_of_the_contract_are_there_and_a_file_adds_and_changes() {
        let entries: Entries = toml::from_str(
            "[[resident]]\nid=1138\nusername='edna'\nset_top_box=336\n[[administrator]]\nid=5\nusername='care_admin'\npassword='x'\n",
        )
        .unwrap();
        let directory = Directory::new(&entries).unwrap();
        assert_eq!(directory.by_name("chattademo").unwrap().role, Role::Resident(322));
        assert_eq!(directory.box_owner(336).unwrap().username, "edna");
        let admin = directory.by_name("care_admin").unwrap();
        assert!(admin.id == 5 && admin.first_name == "Roger" && admin.accepts("x") && !admin.accepts("password"));
        assert!(directory.by_name("second_admin").unwrap().accepts("password"));
    }

    #[test]
    fn a_user_name_used_twice_is_refused() {
        let entries: Entries = serde_json::from_str(r#"{"resident":[{"id":9,"username":"chattademo"}]}"#).unwrap();
        assert!(matches!(Directory::new(&entries), Err(DirectoryError::Twice(name)) if name == "chattademo"));
    }

    #[test]
    fn an_unknown_field_of_the_file_is_named() {
        let mistake = toml::from_str::<Entries>("[[resident]]\nid=9\nuser_name='x'\n").unwrap_err();
        assert!(mistake.to_string().contains("user_name"));
    }
}
