//! The command line. Help, completions and man pages are generated from it.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use fdckpt::checkpoint::FRAME_SIZE_DEFAULT;
use fdckpt::{FrameStyle, fti, inflate};

use crate::term::units::parse_size;

/// Inspect, verify, create, restore and convert checkpoint files
///
/// fdckpt reads and writes the formats of libfdckpt: self-describing checkpoints, CKPT containers, block indexes,
/// FTI-FF checkpoints, and checkpoints and indexes of compressed streams. It detects the format by content; file names
/// do not matter. The FILE `-` is standard input.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, disable_help_subcommand = true, after_help = STATUS)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Print only results and errors, and no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

const STATUS: &str = "\
Exit status:
  0  success: intact, identical, done
  1  the data is damaged, or differs
  2  error: a file can't be read or has an unknown format, or the command line is wrong
  128+n  ended by signal n (130: Ctrl-C; 141: the reader of the output closed it)

Sizes are in bytes; the suffixes K, M, G, T stand for KiB, MiB, GiB, TiB. Colours are used on
terminals unless NO_COLOR is set. Files are mapped, not loaded: they may be larger than memory.
Input from a pipe must fit into memory (not for `save` and `inflate`).";

#[derive(Subcommand)]
pub enum Command {
    /// Show the format of a file and a summary of its contents
    #[command(after_help = "\
Examples:
  fdckpt info Ckpt3-Rank0.fti
  fdckpt info --json state.ckpt | jq .regions")]
    Info(InfoArgs),

    /// List the regions, sections, variables, blocks or zip entries of a file
    #[command(after_help = "\
Examples:
  fdckpt list state.ckpt
  fdckpt list --json Ckpt3-Rank0.fti
  fdckpt list archive.zip               # entries for `fdckpt inflate --entry`")]
    List(ListArgs),

    /// Verify files: report damage, and what can still be read
    #[command(after_help = "\
Examples:
  fdckpt verify state.ckpt
  fdckpt verify --strict *.fti && echo all intact

The exit status is that of the worst file: 0 ok, 1 damaged, 2 unreadable or of an unknown
format.")]
    Verify(VerifyArgs),

    /// Extract parts of a file to a file or directory
    #[command(after_help = "\
Examples:
  fdckpt extract Ckpt3-Rank0.fti 1 -o grid.bin        # variable 1
  fdckpt extract checkpoint.blk 200 -o settings       # the section of type 200
  fdckpt extract checkpoint.blk '#2' -o third         # the section at position 2, counted from 0
  fdckpt extract state.ckpt 'grid/*' -o directory/    # regions by pattern, one file each
  fdckpt extract checkpoint.blk 1 -o - | xxd | head")]
    Extract(ExtractArgs),

    /// Write parts of a file to standard output, concatenated
    #[command(after_help = "\
Examples:
  fdckpt cat Ckpt3-Rank0.fti 0 | od -A d -t d4
  fdckpt cat state.ckpt 'log/*' | less")]
    Cat(CatArgs),

    /// Save files and directories as regions of a self-describing checkpoint
    #[command(after_help = "\
Examples:
  fdckpt save -o state.ckpt run/                         # one region per file
  fdckpt save -o state.ckpt grid=/dev/shm/grid.bin notes.txt
  simulate | fdckpt save -o state.ckpt output=- --style raw
  fdckpt save -o - data/ | ssh host fdckpt restore -     # from one machine to another

The checkpoint appears under its name when it is complete and on disk. A region has a name and
data; owners, times, permissions and links are not saved. Input from a pipe goes through an
unnamed temporary file in the directory of the checkpoint.")]
    Save(SaveArgs),

    /// Restore the regions of a self-describing checkpoint to files
    #[command(after_help = "\
Examples:
  fdckpt restore state.ckpt -C directory
  fdckpt restore state.ckpt 'run/log*'

Existing files are replaced atomically. A region whose name leads out of the directory (/...,
../...), or has a symbolic link on its path, is reported and not restored. Damaged regions are
reported, all others restored; the exit status is then 1, or 2 if a file can't be written.")]
    Restore(RestoreArgs),

    /// Compare two files: regions, sections or variables that differ
    #[command(after_help = "\
Examples:
  fdckpt diff Ckpt3-Rank0.fti Ckpt4-Rank0.fti
  fdckpt diff --json old.ckpt new.ckpt

Exit status 0: identical, 1: different, 2: not comparable.")]
    Diff(DiffArgs),

    /// Convert a file to another format, reporting what is lost
    #[command(after_help = "\
Examples:
  fdckpt convert Ckpt3-Rank0.fti new.fti --to fti-post-1.6    # for another version of FTI
  fdckpt convert Ckpt3-Rank0.fti state.ckpt --to checkpoint
  fdckpt convert state.ckpt Ckpt3-Rank0.fti --to fti-1.4.1    # region names are the ids
  fdckpt convert updated.blk tidy.blk --to ckpt               # a container in canonical form
  fdckpt convert legacy.blk checkpoint.blk --to ckpt          # a block index into a container
  fdckpt convert checkpoint.blk legacy.blk --to block-index
  fdckpt convert state full.state --to inflate-full --stream deflate64")]
    Convert(ConvertArgs),

    /// Decompress gzip, zlib, raw deflate and zip entries; resumes after being killed
    #[command(after_help = "\
Examples:
  fdckpt inflate huge.gz huge.tar                        # killed? run the same command again
  fdckpt inflate backup.zip --entry db.img db.img        # deflate and deflate64, of any size
  fdckpt inflate part.bin out --format deflate64 --save-interval 1G
  fdckpt inflate huge.gz --index huge.idx --offset 7G --length 4K | xxd
  curl -s https://example.org/x.gz | fdckpt inflate - x")]
    Inflate(InflateArgs),

    /// Recover readable data from a damaged or truncated checkpoint
    #[command(after_help = "\
Examples:
  fdckpt salvage damaged.ckpt recovered.ckpt

Regions that pass their checksums keep their names. Intact parts of other regions become
partial/NAME@OFFSET. Data that can't be verified becomes unverified/...; it may have any content.
The exit status is 1 if anything is lost or unverified.")]
    Salvage(SalvageArgs),

    /// Measure how fast your data is saved and loaded here, and recommend options
    #[command(after_help = "\
Examples:
  fdckpt bench run/
  fdckpt bench --directory /scratch --threads 8 grid.bin")]
    Bench(BenchArgs),

    /// Print a shell completion script
    #[command(after_help = "\
Examples:
  fdckpt completions bash > ~/.local/share/bash-completion/completions/fdckpt")]
    Completions {
        /// Shell to complete for
        shell: Shell,
    },

    /// Print the man page, or write the pages of all commands to a directory
    #[command(after_help = "\
Examples:
  fdckpt man | man -l -
  fdckpt man ~/.local/share/man/man1")]
    Man {
        /// Directory for the pages; created if absent
        directory: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct InfoArgs {
    /// File to inspect
    pub file: PathBuf,

    /// Print JSON (described in docs/cli.md)
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ListArgs {
    /// File to list
    pub file: PathBuf,

    /// Print JSON (described in docs/cli.md)
    #[arg(long)]
    pub json: bool,

    /// List frames instead of regions (self-describing checkpoints only)
    #[arg(long)]
    pub frames: bool,
}

#[derive(Args)]
pub struct VerifyArgs {
    /// Files to verify
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Exit with status 1 for warnings, too: containers that are not canonical, files that FTI rejects, missing
    /// checksums
    #[arg(long)]
    pub strict: bool,

    /// Maximum number of threads [default: number of processors]
    #[arg(short = 'j', long, value_name = "N")]
    pub threads: Option<usize>,

    /// Print JSON (described in docs/cli.md)
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ExtractArgs {
    /// File to read
    pub file: PathBuf,

    /// Region name or pattern, variable id, section type, or `#N` for position N in the list
    pub name: String,

    /// File to write, directory for several parts, or `-` for standard output (the default)
    #[arg(short, long, value_name = "OUTPUT")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct CatArgs {
    /// File to read
    pub file: PathBuf,

    /// Parts to write, named as for `extract` [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// Uncompressed
    Raw,
    /// Compressed by LZ4
    Lz4,
}

impl From<Style> for FrameStyle {
    fn from(style: Style) -> Self {
        match style {
            Style::Raw => Self::Raw,
            Style::Lz4 => Self::Lz4,
        }
    }
}

/// The default frame size of the library.
const FRAME_SIZE: &str = "256K";
const _: () = assert!(FRAME_SIZE_DEFAULT == 256 << 10);

/// How a checkpoint is written.
#[derive(Args)]
pub struct WriteArgs {
    /// Encoding of frames
    #[arg(long, value_name = "STYLE", default_value = "lz4")]
    pub style: Style,

    /// Maximum number of threads [default: number of processors]
    #[arg(short = 'j', long, value_name = "N")]
    pub threads: Option<usize>,

    /// Maximum frame size, 64K to 1G
    #[arg(long, value_name = "SIZE", default_value = FRAME_SIZE, value_parser = parse_size)]
    pub frame_size: u64,

    /// Disable checksums (corruption is not detected)
    #[arg(long)]
    pub no_checksums: bool,
}

/// The number of threads to use: that of the processors by default.
pub fn thread_count(threads: Option<usize>) -> usize {
    threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}

#[derive(Args)]
pub struct SaveArgs {
    /// Checkpoint to write; `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Files, directories, or `-` for standard input, optionally with a region name
    #[arg(required = true, value_name = "[NAME=]PATH")]
    pub paths: Vec<String>,

    #[command(flatten)]
    pub write: WriteArgs,

    /// Add an attribute (repeatable)
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    pub attributes: Vec<String>,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// Checkpoint to restore
    pub file: PathBuf,

    /// Region names or patterns [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Directory to write files to
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

#[derive(Args)]
pub struct SalvageArgs {
    /// Damaged checkpoint
    pub input: PathBuf,

    /// Checkpoint to write
    pub output: PathBuf,

    #[command(flatten)]
    pub write: WriteArgs,
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

#[derive(Args)]
pub struct BenchArgs {
    /// Files and directories of typical data
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Directory to write checkpoints to
    #[arg(short = 'C', long, alias = "dir", value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,

    /// Maximum number of threads [default: number of processors]
    #[arg(short = 'j', long, value_name = "N", value_parser = at_least_one())]
    pub threads: Option<usize>,

    /// Maximum frame size, 64K to 1G
    #[arg(long, value_name = "SIZE", default_value = FRAME_SIZE, value_parser = parse_size)]
    pub frame_size: u64,

    /// Number of runs; the best is reported
    #[arg(long, alias = "rounds", value_name = "N", default_value_t = 3, value_parser = at_least_one())]
    pub iterations: usize,

    /// Maximum amount of data to use
    #[arg(long, alias = "limit", value_name = "SIZE", default_value = "1G", value_parser = parse_size)]
    pub max_bytes: u64,
}

#[derive(Args)]
pub struct DiffArgs {
    /// First file
    pub a: PathBuf,

    /// Second file
    pub b: PathBuf,

    /// Print JSON (described in docs/cli.md)
    #[arg(long)]
    pub json: bool,
}

/// A format that a file can be converted to. The hidden aliases are letters for the FTI-FF versions, and short names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetFormat {
    /// Self-describing checkpoint
    Checkpoint,
    /// CKPT container in canonical form
    Ckpt,
    /// Block index without a container (legacy file)
    BlockIndex,
    /// FTI-FF of FTI 1.1
    #[value(name = "fti-1.1", alias = "A")]
    Fti1_1,
    /// FTI-FF of FTI 1.2
    #[value(name = "fti-1.2", alias = "B")]
    Fti1_2,
    /// FTI-FF of FTI 1.3
    #[value(name = "fti-1.3", alias = "C")]
    Fti1_3,
    /// FTI-FF of FTI 1.4.0
    #[value(name = "fti-1.4.0", alias = "D0")]
    Fti1_4_0,
    /// FTI-FF of FTI 1.4.1 to 1.6
    #[value(name = "fti-1.4.1", alias = "D")]
    Fti1_4_1,
    /// FTI-FF of FTI after 1.6
    #[value(name = "fti-post-1.6", alias = "E")]
    FtiPost1_6,
    /// Inflate checkpoint with format, position and window
    #[value(alias = "full")]
    InflateFull,
    /// Inflate checkpoint with a compressed window
    #[value(alias = "compact")]
    InflateCompact,
    /// Inflate checkpoint in the layout of the crate deflate64
    #[value(name = "deflate64-blob", alias = "blob")]
    Deflate64Blob,
    /// Inflate checkpoint in the layout of the crate deflate64 0.1.11 and 0.1.12
    #[value(name = "deflate64-blob-0x1001", alias = "blob-0x1001")]
    Deflate64Blob0x1001,
}

impl TargetFormat {
    /// The spelling on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The version of FTI-FF, if this is one.
    pub fn fti_version(self) -> Option<fti::FormatVersion> {
        Some(match self {
            Self::Fti1_1 => fti::FormatVersion::V1_1,
            Self::Fti1_2 => fti::FormatVersion::V1_2,
            Self::Fti1_3 => fti::FormatVersion::V1_3,
            Self::Fti1_4_0 => fti::FormatVersion::V1_4_0,
            Self::Fti1_4_1 => fti::FormatVersion::V1_4_1,
            Self::FtiPost1_6 => fti::FormatVersion::Post1_6,
            _ => return None,
        })
    }

    /// The layout of an inflate checkpoint, if this is one.
    pub fn inflate_layout(self) -> Option<inflate::CheckpointEncoding> {
        Some(match self {
            Self::InflateFull => inflate::CheckpointEncoding::Full,
            Self::InflateCompact => inflate::CheckpointEncoding::Compact,
            Self::Deflate64Blob => inflate::CheckpointEncoding::Deflate64V0,
            Self::Deflate64Blob0x1001 => inflate::CheckpointEncoding::Deflate64V0x1001,
            _ => return None,
        })
    }
}

#[derive(Args)]
pub struct ConvertArgs {
    /// File to read
    pub input: PathBuf,

    /// File to write
    pub output: PathBuf,

    /// Format to write [default for containers: ckpt]
    #[arg(long = "to", value_name = "FORMAT")]
    pub target: Option<TargetFormat>,

    /// Stream format of a deflate64 blob, which does not record it
    #[arg(long, value_name = "FORMAT")]
    pub stream: Option<CompressionFormat>,

    /// Checkpoint id for FTI-FF [default: that of the input]
    #[arg(long, value_name = "N")]
    pub ckpt_id: Option<i32>,
}

/// A format of compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompressionFormat {
    /// Raw Deflate
    #[value(alias = "raw")]
    Deflate,
    /// Raw Deflate64
    Deflate64,
    /// zlib
    Zlib,
    /// gzip, with one or more members
    Gzip,
}

impl From<CompressionFormat> for inflate::Format {
    fn from(format: CompressionFormat) -> Self {
        match format {
            CompressionFormat::Deflate => Self::Deflate,
            CompressionFormat::Deflate64 => Self::Deflate64,
            CompressionFormat::Zlib => Self::Zlib,
            CompressionFormat::Gzip => Self::Gzip,
        }
    }
}

#[derive(Args)]
pub struct InflateArgs {
    /// Compressed file or zip archive; `-` for standard input
    pub input: PathBuf,

    /// File to write; `-` for standard output (the default)
    pub output: Option<PathBuf>,

    /// Entry of a zip archive; required if it has several
    #[arg(long, value_name = "NAME", conflicts_with = "format")]
    pub entry: Option<String>,

    /// Format of the input; required for raw data, otherwise detected
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<CompressionFormat>,

    /// State file to resume from [default: OUTPUT.fdckpt-state]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["index", "offset", "length"], help_heading = RESUME)]
    pub state: Option<PathBuf>,

    /// Output between two saves of the state [default: 64M]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = RESUME)]
    pub save_interval: Option<u64>,

    /// Index file for reading at any offset; built if absent
    #[arg(long, value_name = "FILE", help_heading = RANDOM_ACCESS)]
    pub index: Option<PathBuf>,

    /// Output between two access points of a new index [default: 4M]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = RANDOM_ACCESS)]
    pub index_interval: Option<u64>,

    /// Offset in the output to start at
    #[arg(long, alias = "at", value_name = "OFFSET", value_parser = parse_size, help_heading = RANDOM_ACCESS)]
    pub offset: Option<u64>,

    /// Maximum number of bytes to write
    #[arg(long, alias = "len", value_name = "SIZE", value_parser = parse_size, help_heading = RANDOM_ACCESS)]
    pub length: Option<u64>,

    /// Former option for both intervals.
    #[arg(long, hide = true, value_name = "SIZE", value_parser = parse_size)]
    #[arg(conflicts_with_all = ["save_interval", "index_interval"])]
    every: Option<u64>,
}

const RESUME: &str = "Resuming";
const RANDOM_ACCESS: &str = "Random access";

impl InflateArgs {
    /// Bytes of output between two saves of the state, if given.
    pub fn save_interval(&self) -> Option<u64> {
        self.save_interval.or(self.every)
    }

    /// Bytes of output between two access points of an index, if given.
    pub fn index_interval(&self) -> Option<u64> {
        self.index_interval.or(self.every)
    }
}
