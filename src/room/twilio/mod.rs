//! Twilio Video room signalling (contracts: twilio-video.md).
