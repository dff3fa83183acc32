//! What `--json` prints of files: written piece by piece, as a list can be long.

use std::collections::HashMap;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use fdckpt::{Block, BlockFooter, BlockIndex, Container, Section, fti};
use serde_json::{Value, json};

use crate::commands::info::{ascii, block, hex, layout, stream};
use crate::commands::verify::fti_finding_json;
use crate::detect::{Format, Kind};
use crate::format::zip::Archive;
use crate::term::{GOOD, Stdout, Trouble, json_text};

/// An object that is printed field by field.
pub struct Object {
    out: BufWriter<Stdout<StdoutLock<'static>>>,
    is_empty: bool,
}

/// As it is printed with so many spaces in front of each line but the first.
fn indented(value: &Value, spaces: usize) -> Result<String, Trouble> {
    Ok(json_text(value)?.replace('\n', &format!("\n{}", " ".repeat(spaces))))
}

impl Object {
    /// Begins with what there is to say of each file.
    pub fn of_file(path: &Path, format: &str, size: usize) -> Result<Self, Trouble> {
        let mut object = Self { out: BufWriter::new(Stdout(io::stdout().lock())), is_empty: true };
        object.fields(&json!({"file": path.to_string_lossy(), "format": format, "size": size}))?;
        Ok(object)
    }

    fn name(&mut self, name: &str) -> Result<(), Trouble> {
        let begin = if std::mem::replace(&mut self.is_empty, false) { "{" } else { "," };
        Ok(write!(self.out, "{begin}\n  {}: ", Value::from(name))?)
    }

    /// All fields of an object.
    pub fn fields(&mut self, fields: &Value) -> Result<(), Trouble> {
        for (name, value) in fields.as_object().into_iter().flatten() {
            self.name(name)?;
            self.out.write_all(indented(value, 2)?.as_bytes())?;
        }
        Ok(())
    }

    pub fn list(&mut self, name: &str, values: impl Iterator<Item = Value>) -> Result<(), Trouble> {
        self.name(name)?;
        let mut begin = "[";
        for value in values {
            write!(self.out, "{begin}\n    {}", indented(&value, 4)?)?;
            begin = ",";
        }
        self.out.write_all(if begin == "[" { b"[]" } else { b"\n  ]" })?;
        Ok(())
    }

    pub fn finish(mut self) -> Result<u8, Trouble> {
        self.out.write_all(b"\n}\n")?;
        self.out.flush()?;
        Ok(GOOD)
    }
}

pub fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn of(kind: &Kind<'_>, path: &Path, size: usize) -> Result<Object, Trouble> {
    Object::of_file(path, kind.format().map_or("unknown", Format::id), size)
}

/// All that there is to say.
pub fn info(kind: &Kind<'_>, path: &Path, size: usize) -> Result<u8, Trouble> {
    let mut object = of(kind, path, size)?;
    match kind {
        Kind::Container(container) => {
            let canonical = container.verify()?.is_empty();
            object.fields(&json!({"version": container.version(), "canonical": canonical}))?;
        }
        Kind::Fti(checkpoint) => {
            object.fields(
                &json!({"generation": checkpoint.generation().to_string(), "header": header_json(checkpoint.header())}),
            )?;
            let block_json =
                |block: &fti::Block| json!({"offset": block.offset, "numvars": block.num_vars, "dbsize": block.db_size});
            object.list("blocks", checkpoint.blocks().iter().map(block_json))?;
        }
        Kind::Unknown(looks, _) => object.fields(&json!({"looks_like": looks}))?,
        _ => {}
    }
    many(&mut object, kind)?;
    match kind {
        Kind::Container(container) => {
            if let Some(index) = container.get(1).ok().and_then(|data| BlockIndex::decode(data).ok()) {
                let blocks: Vec<Value> = index.blocks.iter().map(block_json).collect();
                object.fields(&json!({"block_index": {"blocks": blocks, "footer": footer_json(&index.footer)}}))?;
            }
        }
        Kind::Fti(checkpoint) => object.list("flaws", checkpoint.flaws().iter().map(fti_finding_json))?,
        _ => {}
    }
    object.finish()
}

/// What there are many of.
pub fn list(kind: &Kind<'_>, zip: Option<&Archive<'_>>, path: &Path, size: usize) -> Result<u8, Trouble> {
    if let Some(zip) = zip {
        let mut object = Object::of_file(path, "zip", size)?;
        object.list("entries", zip.json()?.into_iter())?;
        return object.finish();
    }
    let mut object = of(kind, path, size)?;
    many(&mut object, kind)?;
    object.finish()
}

fn many(object: &mut Object, kind: &Kind<'_>) -> Result<(), Trouble> {
    match kind {
        Kind::Container(container) => sections(object, container),
        Kind::Blocks(index) => {
            object.list("blocks", index.blocks.iter().map(block_json))?;
            object.fields(&json!({"footer": footer_json(&index.footer)}))?;
            match &index.stop {
                Some(stop) => object.fields(&json!({"stop": {"offset": stop.offset, "why": stop.why}})),
                None => Ok(()),
            }
        }
        Kind::Index(index) => object.fields(&json!({
            "stream": stream(index.format()),
            "input_size": index.input_size(),
            "output_size": index.output_size(),
            "every": index.every(),
            "points": index.point_count(),
        })),
        Kind::Inflate(checkpoint) => object.fields(&json!({
            "layout": layout(checkpoint.form),
            "stream": checkpoint.format.map(stream),
            "fits_deflate": checkpoint.fits_deflate,
            "input": checkpoint.position.input,
            "output": checkpoint.position.output,
            "bit": checkpoint.bit,
            "block": checkpoint.block.map(|kind| block(Some(kind))),
            "last_block": checkpoint.is_last_block,
            "stored_left": checkpoint.stored_left,
            "unread": checkpoint.unread,
            "window": checkpoint.window,
        })),
        Kind::Fti(checkpoint) => {
            // Those of each variable, in one pass.
            let mut containers = HashMap::<i32, Vec<&fti::Container>>::new();
            for container in checkpoint.containers() {
                containers.entry(container.id).or_default().push(container);
            }
            let variable_json = |variable: &fti::Variable| {
                let own = containers.get(&variable.id).into_iter().flatten();
                let own: Vec<Value> = own.map(|container| container_json(container)).collect();
                json!({"id": variable.id, "size": variable.size, "containers": own})
            };
            object.list("variables", checkpoint.variables().iter().map(variable_json))
        }
        Kind::Checkpoint(_) | Kind::Damaged(..) | Kind::Unknown(..) => Ok(()),
    }
}

pub fn sections(object: &mut Object, container: &Container<'_>) -> Result<(), Trouble> {
    object.list("sections", container.sections().map(|section| section_json(&section)))
}

fn section_json(section: &Section<'_>) -> Value {
    let mut value = json!({"type": section.kind(), "offset": section.offset(), "length": section.length()});
    if let Err(error) = section.data() {
        merge(&mut value, json!({"error": error.to_string()}));
    }
    value
}

fn block_json(block: &Block) -> Value {
    json!({
        "block_number": block.number,
        "start_offset": block.start_offset,
        "block_size": block.size,
        "first_entry_id": block.first_entry_id,
        "last_entry_id": block.last_entry_id,
    })
}

fn footer_json(footer: &BlockFooter) -> Value {
    json!({
        "total_blocks": footer.total_blocks,
        "total_records": footer.total_records,
        "total_size": footer.total_size,
        "index_offset": footer.index_offset,
        "index_length": footer.index_length,
        "version": footer.version,
        "flags": footer.flags,
        "last_add_confirmed": (footer.version != 5).then_some(footer.last_add_confirmed),
    })
}

fn header_json(header: &fti::Header) -> Value {
    let mut fields = json!({"offset": header.offset, "checksum": ascii(&header.checksum), "myHash": hex(&header.my_hash)});
    for (name, number) in [
        ("ckptId", header.ckpt_id.map(i64::from)),
        ("ckptSize", Some(header.ckpt_size)),
        ("metaSize", header.meta_size),
        ("dataSize", header.data_size),
        ("fs", Some(header.fs)),
        ("maxFs", Some(header.max_fs)),
        ("ptFs", Some(header.pt_fs)),
        ("timestamp", Some(header.timestamp)),
    ] {
        // What a generation does not have is not there.
        if let Some(number) = number {
            merge(&mut fields, json!({name: number}));
        }
    }
    fields
}

fn container_json(container: &fti::Container) -> Value {
    let mut value = json!({"id": container.id});
    if let Some(idx) = container.idx {
        merge(&mut value, json!({"idx": idx}));
    }
    merge(&mut value, json!({"containerid": container.container_id, "hascontent": container.has_content != 0}));
    if let Some(has_ckpt) = container.has_ckpt {
        merge(&mut value, json!({"hasCkpt": has_ckpt != 0}));
    }
    merge(
        &mut value,
        json!({
            "dptr": container.dptr,
            "fptr": container.fptr,
            "chunksize": container.chunk_size,
            "containersize": container.container_size,
            "hash": hex(&container.hash),
        }),
    );
    value
}
