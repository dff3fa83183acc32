//! Zip archives: their directory, and where the data of an entry lies. The crate rawzip reads them.

use rawzip::{CompressionMethod, ZipArchive, ZipSliceArchive};
use serde_json::{Value, json};

use crate::term::{Out, Table, Trouble, printable, short};

pub struct Archive<'f>(ZipSliceArchive<&'f [u8]>);

/// An entry whose data can be had.
#[derive(Debug)]
pub struct Entry<'f> {
    pub name: String,
    pub method: u16,
    pub data: &'f [u8],
    /// Of the data as it was before it was compressed.
    pub crc: u32,
    pub size: u64,
}

pub const STORED: u16 = 0;
pub const DEFLATE: u16 = 8;
pub const DEFLATE64: u16 = 9;

fn method_name(method: u16) -> String {
    let names = [
        (STORED, "stored"),
        (DEFLATE, "deflate"),
        (DEFLATE64, "deflate64"),
        (12, "bzip2"),
        (14, "lzma"),
        (93, "zstd"),
        (95, "xz"),
    ];
    names
        .into_iter()
        .find(|(number, _)| *number == method)
        .map_or_else(|| format!("method {method}"), |(_, name)| name.to_owned())
}

/// What the directory has of an entry.
struct Listed {
    name: String,
    raw: Vec<u8>,
    method: u16,
    compressed: u64,
    size: u64,
    crc: u32,
    is_folder: bool,
    is_encrypted: bool,
    place: rawzip::ZipArchiveEntryWayfinder,
}

fn damaged(error: rawzip::Error) -> Trouble {
    Trouble::damaged(format!("the zip archive is damaged: {error}"))
}

impl<'f> Archive<'f> {
    /// `None` where it is no archive, or one without its end, which has the directory.
    pub fn open(file: &'f [u8]) -> Option<Self> {
        ZipArchive::from_slice(file).ok().map(Self)
    }

    fn each(&self, mut each: impl FnMut(Listed) -> Result<(), Trouble>) -> Result<(), Trouble> {
        let mut entries = self.0.entries();
        while let Some(entry) = entries.next_entry().map_err(damaged)? {
            let raw = entry.file_path().as_ref().to_vec();
            each(Listed {
                name: String::from_utf8_lossy(&raw).into_owned(),
                raw,
                method: number(entry.compression_method()),
                compressed: entry.compressed_size_hint(),
                size: entry.uncompressed_size_hint(),
                crc: entry.crc32(),
                is_folder: entry.is_dir(),
                is_encrypted: entry.flags().is_encrypted(),
                place: entry.wayfinder(),
            })?;
        }
        Ok(())
    }

    /// The entry of this name; without one, the only file that there is.
    pub fn find(&self, name: Option<&str>) -> Result<Entry<'_>, Trouble> {
        let (mut found, mut others) = (None, Vec::new());
        self.each(|entry| {
            let fits = name.map_or(!entry.is_folder, |name| entry.raw == name.as_bytes() || entry.name == name);
            if !fits {
                return Ok(());
            }
            // Of several of one name the last one counts, as with other programs.
            if name.is_none() && found.is_some() {
                others.push(printable(&entry.name));
                return Ok(());
            }
            found = Some(entry);
            Ok(())
        })?;
        let missing = || match name {
            Some(name) => {
                Trouble::new(format!("the zip archive has no entry {}", printable(name))).advice("`fdckpt list` lists them")
            }
            None => Trouble::new("the zip archive has no entries"),
        };
        let entry = found.ok_or_else(missing)?;
        if !others.is_empty() {
            let what = format!("the zip archive has {} entries: which one?", others.len() + 1);
            return Err(
                Trouble::new(what).advice(format!("name it with --entry, for example --entry {}", printable(&entry.name)))
            );
        }
        if entry.is_encrypted {
            return Err(Trouble::new(format!("the entry {} is encrypted", printable(&entry.name))));
        }
        let there = self.0.get_entry(entry.place).map_err(damaged)?;
        let (from, to) = there.compressed_data_range();
        let data =
            self.0.get_ref().get(from as usize..to as usize).ok_or_else(|| Trouble::damaged("the zip archive is cut off"))?;
        Ok(Entry { name: entry.name, method: entry.method, data, crc: entry.crc, size: entry.size })
    }

    pub fn list(&self, out: &mut Out) -> Result<(), Trouble> {
        const RIGHT: &[bool] = &[false, true, true, true, true, false, false];
        let mut table = Table::new(RIGHT, &["method", "compressed", "bytes", "size", "ratio", "crc", "name"]);
        self.each(|entry| {
            let method =
                if entry.is_encrypted { format!("{}, encrypted", method_name(entry.method)) } else { method_name(entry.method) };
            let ratio = if entry.compressed == 0 {
                "-".to_owned()
            } else {
                format!("{:.2}", entry.size as f64 / entry.compressed as f64)
            };
            let numbers = [entry.compressed.to_string(), entry.size.to_string(), short(entry.size), ratio];
            let row = [method].into_iter().chain(numbers).chain([format!("{:08x}", entry.crc), printable(&entry.name)]).collect();
            Ok(table.row(out, row)?)
        })?;
        Ok(table.finish(out)?)
    }

    pub fn json(&self) -> Result<Vec<Value>, Trouble> {
        let mut entries = Vec::new();
        self.each(|entry| {
            entries.push(json!({
                "name": entry.name,
                "method": method_name(entry.method),
                "compressed": entry.compressed,
                "size": entry.size,
                "crc": format!("{:08x}", entry.crc),
                "encrypted": entry.is_encrypted,
            }));
            Ok(())
        })?;
        Ok(entries)
    }
}

fn number(method: CompressionMethod) -> u16 {
    method.as_u16()
}

impl Entry<'_> {
    /// What it is to be refused for, if its data can't be decompressed here.
    pub fn unsupported(&self) -> Trouble {
        let what = format!("the entry {} is compressed with {}", printable(&self.name), method_name(self.method));
        Trouble::new(what).advice("stored, deflate and deflate64 can be decompressed")
    }
}

impl From<rawzip::Error> for Trouble {
    fn from(error: rawzip::Error) -> Self {
        damaged(error)
    }
}
