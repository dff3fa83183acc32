//! Zip archives: their entries, and the data of one.

use rawzip::{ZipArchive, ZipSliceArchive};
use serde_json::json;

use crate::error::CliError;
use crate::json::JsonObjectWriter;
use crate::term::escape::escape_for_terminal;
use crate::term::stdout::TextOutput;
use crate::term::table::Table;
use crate::term::units::{human_size, ratio};

pub struct Archive<'f>(ZipSliceArchive<&'f [u8]>);

/// The data of an entry.
#[derive(Debug)]
pub struct EntryData<'f> {
    pub name: String,
    pub method: u16,
    pub data: &'f [u8],
    /// CRC-32 of the uncompressed data.
    pub crc: u32,
    /// Size in bytes of the uncompressed data.
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

/// An entry of the directory.
struct ZipEntry {
    name: String,
    /// The bytes of the name, which may not be UTF-8.
    raw_name: Vec<u8>,
    method: u16,
    compressed: u64,
    size: u64,
    crc: u32,
    is_directory: bool,
    is_encrypted: bool,
    location: rawzip::ZipArchiveEntryWayfinder,
}

fn damaged(error: rawzip::Error) -> CliError {
    CliError::damaged(format!("damaged zip archive: {error}"))
}

impl<'f> Archive<'f> {
    /// `None` if the file has no zip directory, which is at its end.
    pub fn open(file: &'f [u8]) -> Option<Self> {
        ZipArchive::from_slice(file).ok().map(Self)
    }

    fn for_each_entry(&self, mut visit: impl FnMut(ZipEntry) -> Result<(), CliError>) -> Result<(), CliError> {
        let mut entries = self.0.entries();
        while let Some(entry) = entries.next_entry().map_err(damaged)? {
            let raw_name = entry.file_path().as_ref().to_vec();
            visit(ZipEntry {
                name: String::from_utf8_lossy(&raw_name).into_owned(),
                raw_name,
                method: entry.compression_method().as_u16(),
                compressed: entry.compressed_size_hint(),
                size: entry.uncompressed_size_hint(),
                crc: entry.crc32(),
                is_directory: entry.is_dir(),
                is_encrypted: entry.flags().is_encrypted(),
                location: entry.wayfinder(),
            })?;
        }
        Ok(())
    }

    /// Finds an entry by name, or without a name the only file.
    pub fn find(&self, name: Option<&str>) -> Result<EntryData<'_>, CliError> {
        let entry = match name {
            Some(name) => self.find_by_name(name)?,
            None => self.find_only_file()?,
        };
        if entry.is_encrypted {
            return Err(CliError::new(format!("entry {} is encrypted", escape_for_terminal(&entry.name))));
        }
        let location = self.0.get_entry(entry.location).map_err(damaged)?;
        let (start, end) = location.compressed_data_range();
        let data = self.0.get_ref().get(start as usize..end as usize);
        let data = data.ok_or_else(|| CliError::damaged("truncated zip archive"))?;
        Ok(EntryData { name: entry.name, method: entry.method, data, crc: entry.crc, size: entry.size })
    }

    fn find_by_name(&self, name: &str) -> Result<ZipEntry, CliError> {
        let mut found = None;
        self.for_each_entry(|entry| {
            // The last entry of a name counts, as in other programs.
            if entry.raw_name == name.as_bytes() || entry.name == name {
                found = Some(entry);
            }
            Ok(())
        })?;
        found.ok_or_else(|| {
            CliError::new(format!("the zip archive has no entry {}", escape_for_terminal(name)))
                .with_hint("`fdckpt list` lists the entries")
        })
    }

    fn find_only_file(&self) -> Result<ZipEntry, CliError> {
        let (mut first, mut count) = (None, 0);
        self.for_each_entry(|entry| {
            if !entry.is_directory {
                count += 1;
                first.get_or_insert(entry);
            }
            Ok(())
        })?;
        let first = first.ok_or_else(|| CliError::new("the zip archive has no entries"))?;
        if count > 1 {
            let hint = format!("select one with --entry, for example --entry {}", escape_for_terminal(&first.name));
            return Err(CliError::new(format!("the zip archive has {count} entries")).with_hint(hint));
        }
        Ok(first)
    }

    pub fn print_list(&self, out: &mut TextOutput) -> Result<(), CliError> {
        const RIGHT: &[bool] = &[false, true, true, true, true, false, false];
        let mut table = Table::new(RIGHT, &["method", "compressed", "bytes", "size", "ratio", "crc", "name"]);
        self.for_each_entry(|entry| {
            let encrypted = if entry.is_encrypted { ", encrypted" } else { "" };
            let row = [
                format!("{}{encrypted}", method_name(entry.method)),
                entry.compressed.to_string(),
                entry.size.to_string(),
                human_size(entry.size),
                ratio(entry.size, entry.compressed),
                format!("{:08x}", entry.crc),
                escape_for_terminal(&entry.name),
            ];
            Ok(table.row(out, row.into())?)
        })?;
        Ok(table.finish(out)?)
    }

    pub fn write_json(&self, object: &mut JsonObjectWriter) -> Result<(), CliError> {
        let mut entries = Vec::new();
        self.for_each_entry(|entry| {
            entries.push(json!({
                "name": entry.name,
                "method": method_name(entry.method),
                "compressed_size": entry.compressed,
                "size": entry.size,
                "crc": format!("{:08x}", entry.crc),
                "encrypted": entry.is_encrypted,
            }));
            Ok(())
        })?;
        Ok(object.list("entries", entries.into_iter())?)
    }
}

impl EntryData<'_> {
    /// The error for an entry that can't be decompressed.
    pub fn unsupported(&self) -> CliError {
        let (name, method) = (escape_for_terminal(&self.name), method_name(self.method));
        CliError::new(format!("entry {name} is compressed with {method}"))
            .with_hint("stored, deflate and deflate64 are supported")
    }
}
