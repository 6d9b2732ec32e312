//! Callers' photographs: untrusted bytes, made into a round picture.

use image::{ImageReader, Limits, imageops::FilterType};
use resvg::tiny_skia::{FilterQuality, Pixmap, PixmapPaint, PremultipliedColorU8, Transform};
use std::io::Cursor;

/// Larger ones are not looked at.
const BYTES: usize = 8 << 20;
/// Largest side that is decoded.
const SIDE: u32 = 8192;
/// Memory a photograph may take while it is decoded.
const DECODED: u64 = 256 << 20;
/// Side of the picture that is kept.
const KEPT: u32 = 480;

/// A round photograph.
#[derive(Clone)]
pub struct Photo(Pixmap);

impl Photo {
    /// Decodes JPEG or PNG.
    ///
    /// # Errors
    /// Too large, damaged, or something else, in words.
    pub fn decode(bytes: &[u8]) -> Result<Photo, String> {
        if bytes.len() > BYTES {
            return Err(format!("a photograph of {} bytes is too large", bytes.len()));
        }
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(SIDE), Some(SIDE), Some(DECODED));
        reader.limits(limits);
        let image = reader.decode().map_err(|e| e.to_string())?;
        // Square from the middle; faces are in the upper part of tall pictures.
        let side = image.width().min(image.height());
        let (x, y) = ((image.width() - side) / 2, (image.height() - side) / 4);
        let square = image.crop_imm(x, y, side, side).resize_exact(KEPT, KEPT, FilterType::Triangle).into_rgba8();
        let mut kept = Pixmap::new(KEPT, KEPT).ok_or("no memory")?;
        let middle = KEPT as f32 / 2.0;
        for (i, (to, from)) in kept.pixels_mut().iter_mut().zip(square.pixels()).enumerate() {
            let (dx, dy) = ((i as u32 % KEPT) as f32 + 0.5 - middle, (i as u32 / KEPT) as f32 + 0.5 - middle);
            let cover = (middle - (dx * dx + dy * dy).sqrt()).clamp(0.0, 1.0);
            let [r, g, b, a] = from.0;
            let alpha = f32::from(a) / 255.0 * cover;
            let mix = |c: u8| (f32::from(c) * alpha) as u8;
            *to = PremultipliedColorU8::from_rgba(mix(r), mix(g), mix(b), (alpha * 255.0).ceil() as u8).ok_or("a broken pixel")?;
        }
        Ok(Photo(kept))
    }

    pub(super) fn draw(&self, page: &mut Pixmap, x: u32, y: u32, radius: u32) {
        let scale = radius as f32 * 2.0 / KEPT as f32;
        let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
        let place = Transform::from_row(scale, 0.0, 0.0, scale, x as f32 - radius as f32, y as f32 - radius as f32);
        page.draw_pixmap(0, 0, self.0.as_ref(), &paint, place, None);
    }
}
