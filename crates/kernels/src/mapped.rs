//! Files as slices of bytes.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// A file in the address space of this process: pages are read when they are touched, and shared with the system's cache.
///
/// The file must stay as it is meanwhile. Reading a part that somebody has cut off ends the process with a signal, as in
/// every program that maps files; what is written over is seen or not.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps a file as long as it is now.
    ///
    /// # Errors
    /// If the system refuses.
    #[expect(unsafe_code, reason = "others can change a file while it is mapped")]
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is private and read-only. Nothing here relies on the bytes staying the same: they are read
        // once and converted to numbers, of which every pattern of bits is one.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_its_bytes() {
        let path = std::env::temp_dir().join(format!("tdrm-kernels-mapped-{}", std::process::id()));
        std::fs::write(&path, b"tiles").unwrap();
        let mapped = Mapped::new(&File::open(&path).unwrap()).unwrap();
        assert_eq!(&mapped[1..], b"iles");
        std::fs::remove_file(&path).unwrap();
    }
}
