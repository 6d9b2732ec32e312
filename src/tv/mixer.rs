//! Puts a call's picture together: the caller's full size, the resident's own in a corner, opaque cards over it. Every
//! part is copied or scaled straight into its place, so there is no blending, no queue and no clock between a decoded
//! picture and the display. (GStreamer's compositor does the same work, but waits for its next frame time: up to 33 ms.)

use super::output::{Output, Sink, format};
use super::screen::{Area, Card, HEIGHT, OWN, OWN_EDGE, Picture, WIDTH, palette};
use crate::media::pipeline::gstreamer;
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use gstreamer_video::{VideoColorimetry, VideoConverter, VideoConverterConfig, VideoFormat, VideoFrameRef, VideoInfo};
use resvg::tiny_skia::{Color, Pixmap};
use std::sync::Arc;

/// Everything that is shown, and the sink it goes to.
pub struct Mixer {
    output: Output,
    pool: gst::BufferPool,
    format: VideoInfo,
    picture: Arc<Picture>,
    /// `picture`, ready to be copied.
    page: gst::Buffer,
    cards: Vec<Layer>,
    edge: Layer,
    remote: Option<Stream>,
    own: Option<Own>,
}

/// A still part: its pixels in the format of the screen, and how they get to their place.
struct Layer {
    buffer: gst::Buffer,
    info: VideoInfo,
    place: VideoConverter,
}

/// A moving part: the latest picture, and how pictures of its format get to their place.
struct Stream {
    sample: gst::Sample,
    info: VideoInfo,
    place: VideoConverter,
}

/// The resident's own picture. It is made small in a buffer of its own: written straight into the screen, the converter
/// leaves rubbish beside it unless the formats happen to be the same.
struct Own {
    from: VideoInfo,
    shrink: VideoConverter,
    layer: Layer,
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl Mixer {
    /// Opens the sink for a first picture.
    ///
    /// # Errors
    /// In one line: what is wrong and what to try.
    pub fn open(sink: &Sink, picture: Arc<Picture>) -> Result<Mixer, String> {
        let output = Output::open(sink)?;
        gstreamer().map_err(|e| e.0)?;
        let format = format(&"bt709".parse::<VideoColorimetry>().map_err(text)?)?;
        let pool = pool(&format)?;
        let (page, cards, edge) = still(&picture, &format)?;
        Ok(Mixer { output, pool, format, picture, page, cards, edge, remote: None, own: None })
    }

    /// Where it shows.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Shows another picture. Streams go on if it has a place for them.
    ///
    /// # Errors
    /// The sink did not take it.
    pub fn show(&mut self, picture: Arc<Picture>) -> Result<(), String> {
        self.picture = picture;
        (self.page, self.cards, self.edge) = still(&self.picture, &self.format)?;
        if !self.picture.live {
            self.remote = None;
        }
        if !self.picture.own {
            self.own = None;
        }
        let frame = self.compose()?;
        self.output.present(frame, &self.format)
    }

    /// A picture of the caller.
    ///
    /// # Errors
    /// The sink has failed.
    pub fn remote(&mut self, sample: gst::Sample) -> Result<(), String> {
        if !self.picture.live {
            return Ok(());
        }
        let Some(info) = usable(&sample) else { return Ok(()) };
        // The screen takes the colours of the stream; converting each picture would cost more than all the rest.
        if same_family(&info) && info.colorimetry() != self.format.colorimetry() {
            self.format = format(&info.colorimetry())?;
            self.pool.set_active(false).map_err(text)?;
            self.pool = pool(&self.format)?;
            (self.page, self.cards, self.edge) = still(&self.picture, &self.format)?;
            self.own = None;
        }
        keep(&mut self.remote, sample, info, |info| letterbox(info, &self.format))?;
        if self.output.due() { self.flush() } else { Ok(()) }
    }

    /// A picture of the resident; drawn with the caller's next one, or at once where none comes (`alone`).
    ///
    /// # Errors
    /// The sink has failed.
    pub fn own(&mut self, sample: gst::Sample, alone: bool) -> Result<(), String> {
        if !self.picture.own {
            return Ok(());
        }
        let Some(info) = usable(&sample) else { return Ok(()) };
        let own = match &mut self.own {
            Some(own) if own.from == info => own,
            own => own.insert(Own::new(info, &self.format)?),
        };
        own.take(&sample)?;
        if alone && self.output.due() { self.flush() } else { Ok(()) }
    }

    /// The caller's pictures have stopped: who they are takes their place.
    ///
    /// # Errors
    /// The sink has failed.
    pub fn remote_stopped(&mut self) -> Result<(), String> {
        if self.remote.take().is_some() { self.flush() } else { Ok(()) }
    }

    /// Leaves the screen black and closes the sink.
    pub fn close(mut self) {
        let mut black = Pixmap::new(WIDTH, HEIGHT);
        if let Some(black) = &mut black {
            black.fill(Color::BLACK);
            if let Ok(frame) = convert(black, &self.format) {
                let _ = self.output.present(frame, &self.format);
            }
        }
        self.output.close();
        let _ = self.pool.set_active(false);
    }

    fn flush(&mut self) -> Result<(), String> {
        let frame = self.compose()?;
        self.output.push(frame, &self.format)
    }

    fn compose(&self) -> Result<gst::Buffer, String> {
        let streaming = self.picture.live && self.remote.is_some();
        if !streaming && self.own.is_none() {
            return Ok(self.page.clone());
        }
        let mut frame = self.pool.acquire_buffer(None).map_err(text)?;
        {
            let target = frame.get_mut().ok_or("a picture is in use")?;
            let mut target = VideoFrameRef::from_buffer_ref_writable(target, &self.format).map_err(text)?;
            match &self.remote {
                Some(remote) if streaming => remote.draw(&mut target)?,
                _ => {
                    let page = VideoFrameRef::from_buffer_ref_readable(&self.page, &self.format).map_err(text)?;
                    page.copy(&mut target).map_err(text)?;
                }
            }
            if let Some(own) = &self.own {
                self.edge.draw(&mut target)?;
                own.layer.draw(&mut target)?;
            }
            if streaming {
                for card in &self.cards {
                    card.draw(&mut target)?;
                }
            }
        }
        Ok(frame)
    }
}

impl Layer {
    fn new(picture: &Pixmap, area: Area, screen: &VideoInfo) -> Result<Layer, String> {
        let info = of_size(area.width, area.height, VideoFormat::I420, screen)?;
        let buffer = convert(picture, &info)?;
        let place = place(&info, screen, area, false)?;
        Ok(Layer { buffer, info, place })
    }

    fn draw(&self, target: &mut VideoFrameRef<&mut gst::BufferRef>) -> Result<(), String> {
        let from = VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.info).map_err(text)?;
        self.place.frame_ref(&from, target);
        Ok(())
    }
}

impl Own {
    fn new(from: VideoInfo, screen: &VideoInfo) -> Result<Own, String> {
        let info = of_size(OWN.width, OWN.height, VideoFormat::I420, screen)?;
        let shrink = VideoConverter::new(&from, &info, Some(config())).map_err(text)?;
        let buffer = gst::Buffer::with_size(info.size()).map_err(text)?;
        let place = place(&info, screen, OWN, false)?;
        Ok(Own { from, shrink, layer: Layer { buffer, info, place } })
    }

    fn take(&mut self, sample: &gst::Sample) -> Result<(), String> {
        let buffer = sample.buffer().ok_or("a picture without data")?;
        let from = VideoFrameRef::from_buffer_ref_readable(buffer, &self.from).map_err(text)?;
        let mut to = VideoFrameRef::from_buffer_ref_writable(self.layer.buffer.make_mut(), &self.layer.info).map_err(text)?;
        self.shrink.frame_ref(&from, &mut to);
        Ok(())
    }
}

impl Stream {
    fn draw(&self, target: &mut VideoFrameRef<&mut gst::BufferRef>) -> Result<(), String> {
        let buffer = self.sample.buffer().ok_or("a picture without data")?;
        let from = VideoFrameRef::from_buffer_ref_readable(buffer, &self.info).map_err(text)?;
        if !fill(&from, target) {
            self.place.frame_ref(&from, target);
        }
        Ok(())
    }
}

/// Copies a picture that lies in memory just as the screen does, in half of the time that a converter takes for its lines. False: it
/// does not, and is to be converted.
fn fill(from: &VideoFrameRef<&gst::BufferRef>, to: &mut VideoFrameRef<&mut gst::BufferRef>) -> bool {
    let kind = |info: &VideoInfo| (info.format(), info.width(), info.height(), info.par(), info.colorimetry());
    if kind(from.info()) != kind(to.info()) || from.plane_stride() != to.plane_stride() {
        return false;
    }
    (0..from.n_planes()).all(|plane| {
        let (Ok(from), Ok(to)) = (from.plane_data(plane), to.plane_data_mut(plane)) else { return false };
        let same = from.len() == to.len();
        if same {
            to.copy_from_slice(from);
        }
        same
    })
}

/// Remembers the latest picture; a converter is made only when the format changes.
fn keep(
    stream: &mut Option<Stream>,
    sample: gst::Sample,
    info: VideoInfo,
    make: impl FnOnce(&VideoInfo) -> Result<VideoConverter, String>,
) -> Result<(), String> {
    match stream {
        Some(known) if known.info == info => known.sample = sample,
        _ => *stream = Some(Stream { place: make(&info)?, sample, info }),
    }
    Ok(())
}

/// A stream of a format that cannot be shown is no fault of the display: it is left out.
fn usable(sample: &gst::Sample) -> Option<VideoInfo> {
    info(sample).inspect_err(|why| log::debug!("a picture is left out: {why}")).ok()
}

/// What a sample is, without its frame rate: the converter wants it equal on both sides and means nothing by it.
fn info(sample: &gst::Sample) -> Result<VideoInfo, String> {
    let caps = sample.caps().ok_or("a picture without a format")?;
    let info = VideoInfo::from_caps(caps).map_err(text)?;
    if info.is_interlaced() || info.width() == 0 || info.height() == 0 {
        return Err(format!("pictures of the format {caps} cannot be shown"));
    }
    let still = VideoInfo::builder(info.format(), info.width(), info.height()).colorimetry(&info.colorimetry()).par(info.par()).fps((0, 1));
    still.build().map_err(text)
}

/// Whether a stream's colours can be the screen's: those of RGB cannot.
fn same_family(info: &VideoInfo) -> bool {
    info.is_yuv() && info.colorimetry().matrix() != gst_video::VideoColorMatrix::Unknown
}

fn of_size(width: u32, height: u32, pixels: VideoFormat, screen: &VideoInfo) -> Result<VideoInfo, String> {
    let mut builder = VideoInfo::builder(pixels, width, height).fps((0, 1));
    let colorimetry = screen.colorimetry();
    if pixels == VideoFormat::I420 {
        builder = builder.colorimetry(&colorimetry);
    }
    builder.build().map_err(text)
}

type Still = (gst::Buffer, Vec<Layer>, Layer);

fn still(picture: &Picture, screen: &VideoInfo) -> Result<Still, String> {
    let page = convert(&picture.page, screen)?;
    let cards = picture.cards.iter().map(|Card { area, picture }| Layer::new(picture, *area, screen)).collect::<Result<_, _>>()?;
    let area = Area { x: OWN.x - OWN_EDGE, y: OWN.y - OWN_EDGE, width: OWN.width + 2 * OWN_EDGE, height: OWN.height + 2 * OWN_EDGE };
    let mut edge = Pixmap::new(area.width, area.height).ok_or("no memory")?;
    edge.fill(hex(palette::SOFT));
    Ok((page, cards, Layer::new(&edge, area, screen)?))
}

fn hex(colour: &str) -> Color {
    let part = |at: usize| colour.get(at..at + 2).and_then(|h| u8::from_str_radix(h, 16).ok()).unwrap_or(0);
    Color::from_rgba8(part(1), part(3), part(5), 255)
}

/// A drawn, opaque picture in the format `to`.
fn convert(picture: &Pixmap, to: &VideoInfo) -> Result<gst::Buffer, String> {
    let from = of_size(picture.width(), picture.height(), VideoFormat::Rgba, to)?;
    let whole = VideoConverter::new(&from, to, Some(config())).map_err(text)?;
    let source = gst::Buffer::from_slice(picture.data().to_vec());
    let mut target = gst::Buffer::with_size(to.size()).map_err(text)?;
    {
        let source = VideoFrameRef::from_buffer_ref_readable(&source, &from).map_err(text)?;
        let target = target.get_mut().ok_or("a picture is in use")?;
        let mut target = VideoFrameRef::from_buffer_ref_writable(target, to).map_err(text)?;
        whole.frame_ref(&source, &mut target);
    }
    Ok(target)
}

fn config() -> VideoConverterConfig {
    let mut config = VideoConverterConfig::new();
    config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
    config.set_chroma_resampler_method(gst_video::VideoResamplerMethod::Linear);
    config.set_dither_method(gst_video::VideoDitherMethod::None);
    config.set_threads(1);
    config
}

fn place(from: &VideoInfo, screen: &VideoInfo, area: Area, border: bool) -> Result<VideoConverter, String> {
    let mut config = config();
    let number = |n: u32| i32::try_from(n).unwrap_or(0);
    config.set_dest_x(number(area.x));
    config.set_dest_y(number(area.y));
    config.set_dest_width(Some(number(area.width)));
    config.set_dest_height(Some(number(area.height)));
    config.set_fill_border(border);
    config.set_border_argb(0xff00_0000);
    VideoConverter::new(from, screen, Some(config)).map_err(text)
}

/// As large as it gets without being distorted, black around it.
fn letterbox(from: &VideoInfo, screen: &VideoInfo) -> Result<VideoConverter, String> {
    let par = f64::from(from.par().numer()) / f64::from(from.par().denom().max(1));
    let (width, height) = (f64::from(from.width()) * par, f64::from(from.height()));
    let scale = (f64::from(WIDTH) / width).min(f64::from(HEIGHT) / height);
    // Even numbers: half of them are chroma samples.
    let even = |n: f64, most: u32| ((n / 2.0).round() as u32 * 2).clamp(2, most);
    let (width, height) = (even(width * scale, WIDTH), even(height * scale, HEIGHT));
    let area = Area { x: (WIDTH - width) / 4 * 2, y: (HEIGHT - height) / 4 * 2, width, height };
    place(from, screen, area, true)
}

fn pool(format: &VideoInfo) -> Result<gst::BufferPool, String> {
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    // No upper limit: a sink may hold two or three, and waiting for it would stop the call's picture.
    config.set_params(Some(&format.to_caps().map_err(text)?), u32::try_from(format.size()).unwrap_or(u32::MAX), 2, 0);
    pool.set_config(config).map_err(text)?;
    pool.set_active(true).map_err(text)?;
    Ok(pool)
}
