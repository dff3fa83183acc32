//! The command line: help, completions and man pages come from here.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use fdckpt::checkpoint::FRAME_SIZE_DEFAULT;

use crate::term;

/// Look into checkpoint files, check, save, restore, convert and resume them
///
/// fdckpt knows the formats of libfdckpt: self-describing checkpoints, CKPT containers, indexes of blocks, checkpoint files of FTI (FTI-FF), and
/// checkpoints of decompressions. It tells them apart by their content; the name of a file does not matter. A FILE of `-` is standard
/// input.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, disable_help_subcommand = true, after_help = STATUS)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Say nothing but results and errors, and show no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

const STATUS: &str = "\
Exit status:
  0  all is well: whole, the same, done
  1  the data is damaged, or differs
  2  it could not be done: a file that can't be read, is of no known format, or a wrong command line
  128+n  ended by signal n (130: Ctrl-C; 141: whoever read the output has gone)

Sizes are bytes, or KiB, MiB, GiB, TiB with K, M, G, T behind the number. Colours are for terminals, and never there where NO_COLOR is set.
Files are mapped into memory, not read into it, so they can be larger than the memory; only what comes through a pipe has to fit.";

#[derive(Subcommand)]
pub enum Command {
    /// Say what a file is and what is in it
    #[command(after_help = "\
Examples:
  fdckpt info Ckpt3-Rank0.fti
  fdckpt info --json state.ckpt | jq .sections")]
    Info(Look),

    /// List the regions, sections, variables, blocks or points in a file
    #[command(after_help = "\
Examples:
  fdckpt list state.ckpt
  fdckpt list --json Ckpt3-Rank0.fti
  fdckpt list archive.zip               # what `fdckpt inflate --entry` can take")]
    List(List),

    /// Check whether files are whole, and say what is damaged and what can still be read
    #[command(after_help = "\
Examples:
  fdckpt verify state.ckpt
  fdckpt verify --strict *.fti && echo all whole

The status is that of the worst file: 0 whole, 1 damaged, 2 could not be read or is unknown.")]
    Verify(Verify),

    /// Write pieces of a file to a file
    #[command(after_help = "\
Examples:
  fdckpt extract Ckpt3-Rank0.fti 1 -o grid.bin        # variable 1
  fdckpt extract checkpoint.blk 200 -o settings       # the section of type 200
  fdckpt extract checkpoint.blk '#2' -o third         # the section at position 2, counted from 0
  fdckpt extract state.ckpt 'grid/*' -o folder/       # regions by pattern, each to a file
  fdckpt extract checkpoint.blk 1 -o - | xxd | head")]
    Extract(Extract),

    /// Write pieces of a file to standard output, one behind the other
    #[command(after_help = "\
Examples:
  fdckpt cat Ckpt3-Rank0.fti 0 | od -A d -t d4
  fdckpt cat state.ckpt 'log/*' | less")]
    Cat(Cat),

    /// Save files and folders as regions of a self-describing checkpoint
    #[command(after_help = "\
Examples:
  fdckpt save -o state.ckpt run/                         # run/grid, run/log, ...: a region for each file
  fdckpt save -o state.ckpt grid=/dev/shm/grid.bin notes.txt
  simulate | fdckpt save -o state.ckpt output=- --style raw
  fdckpt save -o - data/ | ssh host fdckpt restore -     # from one machine to another

The file has its name only when it is complete and on the disk. A region has a name and bytes; owners, times and permissions of files are
not saved, nor are links. What comes through a pipe goes to a file without a name in the folder of the checkpoint first.")]
    Save(Save),

    /// Write the regions of a self-describing checkpoint to files
    #[command(after_help = "\
Examples:
  fdckpt restore state.ckpt -C folder
  fdckpt restore state.ckpt 'run/log*'

Files that are there are replaced, each in one step. A region whose name leads out of the folder (/..., ../...) is not restored, nor is one
where a link is on the way. Regions that are damaged are told, all others restored; the status is 1 then, and 2 where one can't be written.")]
    Restore(Restore),

    /// Say which regions, sections or variables of two files differ, and where first
    #[command(after_help = "\
Examples:
  fdckpt diff Ckpt3-Rank0.fti Ckpt4-Rank0.fti
  fdckpt diff --json old.ckpt new.ckpt

Status 0: the same, 1: they differ, 2: they can't be compared.")]
    Diff(Diff),

    /// Write a file in another format, saying what is lost
    #[command(after_help = "\
Examples:
  fdckpt convert Ckpt3-Rank0.fti new.fti --to E          # for another version of FTI
  fdckpt convert Ckpt3-Rank0.fti state.ckpt --to checkpoint
  fdckpt convert state.ckpt Ckpt3-Rank0.fti --to E       # regions 0, 1, ... become variables of these ids
  fdckpt convert updated.blk tidy.blk --to ckpt          # a container as it would be written anew
  fdckpt convert legacy.blk checkpoint.blk --to ckpt     # an index of blocks into a container
  fdckpt convert checkpoint.blk legacy.blk --to block-index
  fdckpt convert state full.state --to full --stream deflate64")]
    Convert(Convert),

    /// Decompress, and go on where it was after being killed
    #[command(after_help = "\
Examples:
  fdckpt inflate huge.gz huge.tar                        # killed? the same command goes on
  fdckpt inflate backup.zip --entry db.img db.img        # Deflate and Deflate64, of any size
  fdckpt inflate part.bin out --format deflate64 --every 1G
  fdckpt inflate huge.gz --index huge.idx --at 7G --len 4K | xxd
  curl -s https://example.org/x.gz | fdckpt inflate - x")]
    Inflate(Inflate),

    /// Get out of a damaged or cut off checkpoint what is left of it, into a new one
    #[command(after_help = "\
Examples:
  fdckpt salvage damaged.ckpt saved.ckpt

Regions that are sound, as their checksums say, keep their names; sound pieces of others become partial/NAME@OFFSET; what can't be verified
becomes unverified/..., and can have any content. Status 1 if anything is lost or unverified.")]
    Salvage(Salvage),

    /// Measure how fast your data is saved and loaded on this machine, and recommend a style
    #[command(after_help = "\
Examples:
  fdckpt bench run/
  fdckpt bench --dir /scratch --threads 8 grid.bin")]
    Bench(Bench),

    /// Print a script that completes command lines, for a shell
    #[command(after_help = "\
Examples:
  fdckpt completions bash > ~/.local/share/bash-completion/completions/fdckpt")]
    Completions {
        /// The shell
        shell: Shell,
    },

    /// Print the man page, or write the pages of all commands to a folder
    #[command(after_help = "\
Examples:
  fdckpt man | man -l -
  fdckpt man ~/.local/share/man/man1")]
    Man {
        /// Where the pages are to go
        folder: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct Look {
    /// The file
    pub file: PathBuf,

    /// Print JSON (docs/tool.md has the schema)
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    pub look: Look,

    /// The frames of a self-describing checkpoint instead of its regions
    #[arg(long)]
    pub frames: bool,
}

#[derive(Args)]
pub struct Verify {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Also what is readable but not as it should be counts as damage: containers that are not canonical, files that FTI refuses
    #[arg(long)]
    pub strict: bool,

    /// How many threads may check; the number of processors if it is not given
    #[arg(short = 'j', long, value_name = "N")]
    pub threads: Option<usize>,

    /// Print JSON (docs/tool.md has the schema)
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Extract {
    /// The file
    pub file: PathBuf,

    /// A region or a pattern of regions, a variable's id, a section's type, or `#N`: the one at position N in the list
    pub name: String,

    /// Where to write it to; a folder for several; standard output if it is `-` or not given
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct Cat {
    /// The file
    pub file: PathBuf,

    /// As for extract; all that there is if it is not given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// How frames are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// As they are
    Raw,
    /// Compressed by LZ4
    Lz4,
}

/// How a checkpoint is written.
#[derive(Args)]
pub struct Writing {
    /// How frames are encoded
    #[arg(long, value_name = "STYLE", default_value = "lz4")]
    pub style: Style,

    /// How many threads may compress; the number of processors if it is not given
    #[arg(short = 'j', long, value_name = "N")]
    pub threads: Option<usize>,

    /// How many bytes of data a frame has at most: 64K to 1G
    #[arg(long, value_name = "SIZE", default_value_t = FRAME_SIZE_DEFAULT as u64, value_parser = term::parse_size)]
    pub frame_size: u64,

    /// Without checksums of the data: damage to it goes unnoticed
    #[arg(long)]
    pub no_checksums: bool,
}

#[derive(Args)]
pub struct Save {
    /// The checkpoint to write; standard output if it is `-`
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Files, folders, or `-` for standard input; with the name of the region in front, if it is to have another one
    #[arg(required = true, value_name = "[NAME=]PATH")]
    pub paths: Vec<String>,

    #[command(flatten)]
    pub writing: Writing,

    /// Something to be remembered with it, any number of times
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    pub attributes: Vec<String>,
}

#[derive(Args)]
pub struct Restore {
    /// The checkpoint
    pub file: PathBuf,

    /// Regions or patterns of regions; all if none is given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// The folder that files are written to
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

#[derive(Args)]
pub struct Salvage {
    /// The damaged checkpoint
    pub from: PathBuf,

    /// The checkpoint to write
    pub to: PathBuf,

    #[command(flatten)]
    pub writing: Writing,
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

#[derive(Args)]
pub struct Bench {
    /// Files and folders with data like that which is to be saved
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Where checkpoints are written to
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,

    /// The most threads to measure with; the number of processors if it is not given
    #[arg(short = 'j', long, value_name = "N", value_parser = at_least_one())]
    pub threads: Option<usize>,

    /// How many bytes of data a frame has at most: 64K to 1G
    #[arg(long, value_name = "SIZE", default_value_t = FRAME_SIZE_DEFAULT as u64, value_parser = term::parse_size)]
    pub frame_size: u64,

    /// How often everything is measured; the best counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
    pub rounds: usize,

    /// Take no more data than this
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = term::parse_size)]
    pub limit: u64,
}

#[derive(Args)]
pub struct Diff {
    /// One file
    pub a: PathBuf,

    /// The other one
    pub b: PathBuf,

    /// Print JSON (docs/tool.md has the schema)
    #[arg(long)]
    pub json: bool,
}

/// What can be made of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A self-describing checkpoint
    Checkpoint,
    /// A CKPT container in its canonical form
    Ckpt,
    /// The index of blocks alone, without a container (the legacy file)
    BlockIndex,
    /// FTI-FF of FTI 1.1
    #[value(name = "A")]
    A,
    /// FTI-FF of FTI 1.2
    #[value(name = "B")]
    B,
    /// FTI-FF of FTI 1.3
    #[value(name = "C")]
    C,
    /// FTI-FF of FTI 1.4.0
    #[value(name = "D0")]
    D0,
    /// FTI-FF of FTI 1.4.1 to 1.6
    #[value(name = "D")]
    D,
    /// FTI-FF of FTI after 1.6
    #[value(name = "E")]
    E,
    /// A full checkpoint of a decompression
    Full,
    /// The same with its window compressed
    Compact,
    /// The blob of the crate deflate64
    Blob,
    /// The blob of the crate deflate64 0.1.11 and 0.1.12
    #[value(name = "blob-0x1001")]
    Blob0x1001,
}

#[derive(Args)]
pub struct Convert {
    /// The file to read
    pub from: PathBuf,

    /// The file to write
    pub to: PathBuf,

    /// What to make of it; a container becomes canonical if it is not given
    #[arg(long = "to", value_name = "FORMAT")]
    pub target: Option<Target>,

    /// The format of the stream that a blob is of, which it does not say itself
    #[arg(long, value_name = "FORMAT")]
    pub stream: Option<Stream>,

    /// Number of the checkpoint, for FTI-FF; that of the file if it is not given
    #[arg(long, value_name = "N")]
    pub ckpt_id: Option<i32>,
}

/// What compressed data can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Raw Deflate
    #[value(alias = "raw")]
    Deflate,
    /// Raw Deflate64
    Deflate64,
    /// zlib
    Zlib,
    /// gzip, of one or more members
    Gzip,
}

#[derive(Args)]
pub struct Inflate {
    /// The compressed file, or a zip archive
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// Where the output goes to; standard output if it is `-` or not given
    #[arg(value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// Which entry of a zip archive; not needed if it has only one
    #[arg(long, value_name = "NAME", conflicts_with = "format")]
    pub entry: Option<String>,

    /// The format; told by the content if it is not given, but for raw data
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Stream>,

    /// Where the state is kept from which it goes on; OUT.fdckpt-state if it is not given
    #[arg(long, value_name = "FILE", conflicts_with_all = ["index", "at", "len"])]
    pub state: Option<PathBuf>,

    /// After how much output the state is saved, and how far apart an index has its points [default: 64M, of an index 4M]
    #[arg(long, value_name = "SIZE", value_parser = term::parse_size)]
    pub every: Option<u64>,

    /// An index, for reading anywhere: made if it is not there
    #[arg(long, value_name = "FILE")]
    pub index: Option<PathBuf>,

    /// Write the output from here on only
    #[arg(long, value_name = "OFFSET", value_parser = term::parse_size)]
    pub at: Option<u64>,

    /// Write only so much of the output
    #[arg(long, value_name = "N", value_parser = term::parse_size)]
    pub len: Option<u64>,
}
