/* struct_size.c: a program that was compiled with the first version of fdckpt.h
   works with the library of today.

   The structs first_* are those of that version and stay as they are here;
   new structs are added, new fields of old ones are not. */

#include "test.h"

typedef struct {
  size_t struct_size; int style; unsigned threads; uint64_t frame_size; int sync; int no_checksums;
  fdckpt_progress_fn_t on_progress; void * context;
} first_writer_options;

typedef struct {
  size_t struct_size; unsigned threads; int no_checksums; uint64_t spool_memory; uint64_t spool_limit;
  fdckpt_progress_fn_t on_progress; void * context;
} first_reader_options;

typedef struct {
  size_t struct_size; char const * name; uint64_t index, size, checksum, first_frame, frame_offset, frame_count;
  int style; int has_checksum;
} first_region_info;

typedef struct {
  size_t struct_size; uint64_t offset, file_bytes, data_bytes, checksum; int style; int has_checksum;
} first_frame_info;

typedef struct {
  size_t struct_size; uint64_t region_count, frame_count, attribute_count, data_bytes, file_bytes; int has_checksums; int spool;
} first_reader_info;

typedef struct {
  size_t struct_size; uint64_t verified_count, partial_count, unverified_count, lost_count; int index_found; int reserved;
} first_salvage_stats;

typedef struct {
  size_t struct_size; uint64_t speculative_segments, mispredicted_segments, warm_up_bytes, recompressed_bytes;
} first_parallel_stats;

typedef struct { size_t struct_size; int64_t offset, size; int type; int reserved; } first_container_section;

typedef struct {
  size_t struct_size; int format, ckpt_id, threads, sync; uint64_t partner_file_size, group_max_file_size; int64_t timestamp_ns;
} first_fti_options;

typedef struct { size_t struct_size; int block_size, hash, mode, save_hashes; } first_fti_update_options;

typedef struct {
  size_t struct_size; uint64_t block_count, changed_block_count, changed_bytes; int is_full, hashes_saved;
} first_fti_update_stats;

typedef struct {
  size_t struct_size; uint64_t offset;
  int64_t ckpt_size, meta_size, data_size, file_size, group_max_file_size, partner_file_size, timestamp_ns;
  int ckpt_id, format; uint64_t block_count, container_count, variable_count; char checksum[ 40 ]; uint8_t header_hash[ 16 ];
} first_fti_file_header;

typedef struct { size_t struct_size; uint64_t size, container_count; int id; int reserved; } first_fti_file_variable;

typedef struct {
  size_t struct_size; uint64_t offset, block_index; int64_t dptr, fptr, chunk_size, container_size; uint8_t hash[ 16 ];
  int id, idx, container_id, has_content, has_ckpt; int reserved;
} first_fti_file_container;

typedef struct {
  size_t struct_size; uint8_t const * next_in; size_t avail_in; uint64_t total_in; uint8_t * next_out; size_t avail_out;
  uint64_t total_out; char const * msg; void * state; uint64_t error_bit_offset; int error_code; int reserved;
} first_inflate;

/* Of those that the library fills and passes on. */

typedef struct {
  size_t struct_size; int code, errnum; uint64_t offset, frame; char const * function, * message, * path, * region;
} first_error;

typedef struct { size_t struct_size; uint64_t data_bytes, total_bytes, file_bytes; } first_progress;

typedef struct {
  size_t struct_size; char const * region, * message; uint64_t region_index, frame, offset; int code; int reserved;
} first_issue;

typedef struct { size_t struct_size; uint64_t offset, section; char const * message; } first_container_issue;

typedef struct {
  size_t struct_size; char const * path; int64_t variable_id, container_index; uint64_t offset;
  char const * field, * expected, * actual, * message; int severity; int reserved;
} first_fti_file_issue;

typedef struct { size_t struct_size; int kind, variable_id; uint64_t first, second; } first_fti_file_difference;

/* The files of the test. */

static char folder[] = "/tmp/fdckpt-struct-size-XXXXXX";
static char path[ 80 ], copy[ 80 ], fti_path[ 80 ], updated_path[ 80 ];

static fdckpt_reader_t *    reader;
static fdckpt_container_t * container;
static fdckpt_fti_t *       fti;
static fdckpt_fti_file_t *  fti_file;
static int                  number = 7;

static int
code_of( void const * object ) {
  return object ? FDCKPT_OK : fdckpt_last_error()->code;
}

static int
write_with( void * options ) {
  fdckpt_writer_t * writer = fdckpt_writer_open( copy, (fdckpt_writer_options_t *)options );
  int code = code_of( writer );
  fdckpt_writer_free( writer );
  return code;
}

static int
read_with( void * options ) {
  fdckpt_reader_t * other = fdckpt_reader_open( path, (fdckpt_reader_options_t *)options );
  int code = code_of( other );
  fdckpt_reader_free( other );
  return code;
}

static int region_at    ( void * out ) { return fdckpt_reader_region_at  ( reader, 0UL, (fdckpt_region_info_t *)out ); }
static int frame_at     ( void * out ) { return fdckpt_reader_frame_at   ( reader, 0UL, (fdckpt_frame_info_t *)out ); }
static int info         ( void * out ) { return fdckpt_reader_info       ( reader, (fdckpt_reader_info_t *)out ); }
static int salvage      ( void * out ) { return fdckpt_salvage_file      ( path, copy, NULL, (fdckpt_salvage_stats_t *)out ); }
static int parallel     ( void * out ) { return fdckpt_parallel_stats    ( (fdckpt_parallel_stats_t *)out ); }
static int section      ( void * out ) { return fdckpt_container_section_info( container, 0UL, (fdckpt_container_section_t *)out ); }
static int header       ( void * out ) { return fdckpt_fti_file_header   ( fti_file, (fdckpt_fti_file_header_t *)out ); }
static int variable     ( void * out ) { return fdckpt_fti_file_variable ( fti_file, 0UL, (fdckpt_fti_file_variable_t *)out ); }
static int fti_container( void * out ) { return fdckpt_fti_file_container( fti_file, 0UL, (fdckpt_fti_file_container_t *)out ); }

static int
checkpoint_with( void * options ) {
  return fdckpt_fti_checkpoint( fti, copy, (fdckpt_fti_options_t *)options );
}

static int
update( void * update_options,
        void * out_stats ) {
  fdckpt_fti_options_t options = FDCKPT_FTI_OPTIONS_INIT;
  options.format = FDCKPT_FTI_FORMAT_POST_1_6;
  options.sync   = FDCKPT_SYNC_NONE;
  return fdckpt_fti_update( fti, updated_path, &options, (fdckpt_fti_update_options_t *)update_options,
                            (fdckpt_fti_update_stats_t *)out_stats );
}

static int update_with ( void * options ) { return update( options, NULL ); }
static int update_stats( void * out     ) { return update( NULL, out ); }

static int
inflate( void * strm ) {
  int code = fdckpt_inflate_init( (fdckpt_inflate_t *)strm, FDCKPT_INFLATE_DEFLATE );
  return code ? code : fdckpt_inflate_end( (fdckpt_inflate_t *)strm );
}

/* All structs that the caller initialises, with what the first program put
   into them beyond zeros. */

static first_fti_options const fti_options = { sizeof(first_fti_options), FDCKPT_FTI_FORMAT_POST_1_6, 1, 0, FDCKPT_SYNC_NONE, 0, 0, 0 };

#define IN(  name, init, call, value ) { init, sizeof(first_##name), sizeof(fdckpt_##name##_t), 1, call, value }
#define OUT( name, init, call )        { init, sizeof(first_##name), sizeof(fdckpt_##name##_t), 0, call, NULL }

static struct {
  char const * init;
  ulong        first_sz;
  ulong        sz;
  int          is_input;
  int (* call)( void * );
  void const * value;
} const structs[] = {
  IN ( writer_options,     "FDCKPT_WRITER_OPTIONS_INIT",     write_with,      NULL ),
  IN ( reader_options,     "FDCKPT_READER_OPTIONS_INIT",     read_with,       NULL ),
  OUT( region_info,        "FDCKPT_REGION_INFO_INIT",        region_at             ),
  OUT( frame_info,         "FDCKPT_FRAME_INFO_INIT",         frame_at              ),
  OUT( reader_info,        "FDCKPT_READER_INFO_INIT",        info                  ),
  OUT( salvage_stats,      "FDCKPT_SALVAGE_STATS_INIT",      salvage               ),
  OUT( parallel_stats,     "FDCKPT_PARALLEL_STATS_INIT",     parallel              ),
  OUT( container_section,  "FDCKPT_CONTAINER_SECTION_INIT",  section               ),
  IN ( fti_options,        "FDCKPT_FTI_OPTIONS_INIT",        checkpoint_with, &fti_options ),
  IN ( fti_update_options, "FDCKPT_FTI_UPDATE_OPTIONS_INIT", update_with,     NULL ),
  OUT( fti_update_stats,   "FDCKPT_FTI_UPDATE_STATS_INIT",   update_stats          ),
  OUT( fti_file_header,    "FDCKPT_FTI_FILE_HEADER_INIT",    header                ),
  OUT( fti_file_variable,  "FDCKPT_FTI_FILE_VARIABLE_INIT",  variable              ),
  OUT( fti_file_container, "FDCKPT_FTI_FILE_CONTAINER_INIT", fti_container         ),
  IN ( inflate,            "FDCKPT_INFLATE_INIT",            inflate,         NULL ),
};

#define STRUCTS (sizeof(structs)/sizeof(structs[0]))

/* call_sized calls a function with struct i as if it had sz bytes, and
   checks that what is after its first_sz bytes stays. */

#define AFTER (64UL)

static int
call_sized( ulong i,
            ulong sz,
            int   after ) {
  ulong   all = structs[i].sz+AFTER;
  uchar * mem = (uchar *)test_alloc( all );
  uchar * was = (uchar *)test_alloc( all );
  if( structs[i].value ) memcpy( mem, structs[i].value, structs[i].first_sz );
  memset( mem+structs[i].sz, after, AFTER );
  memcpy( mem, &sz, sizeof(sz) );
  memcpy( was, mem, all );
  int code = structs[i].call( mem );
  CHECK_MSG( !memcmp( mem, &sz, sizeof(sz) ), "%s", structs[i].init );
  ulong kept = sz<structs[i].sz ? sz : structs[i].sz;
  if( code ) kept = sizeof(sz);
  CHECK_MSG( !memcmp( mem+kept, was+kept, all-kept ), "%s with %lu bytes", structs[i].init, sz );
  free( mem ); free( was );
  return code;
}

static void
check_sizes( void ) {
  for( ulong i=0UL; i<STRUCTS; i++ ) {
    char const * init = structs[i].init;
    CHECK_MSG( structs[i].first_sz<=structs[i].sz, "%s", init );

    /* The first program, this one, and one that is compiled with a later header. */
    WORKS( call_sized( i, structs[i].first_sz, 0 ) );
    WORKS( call_sized( i, structs[i].first_sz, 0xa5 ) );
    WORKS( call_sized( i, structs[i].sz, 0xa5 ) );
    WORKS( call_sized( i, structs[i].sz+8UL, 0 ) );
    if( structs[i].is_input ) {
      FAILS( FDCKPT_ERR_INVALID_ARGUMENT, call_sized( i, structs[i].sz+8UL, 0xa5 ) );
      CHECK_MSG( strstr( fdckpt_last_error()->message, "newer than the library" ), "%s", init );
    } else WORKS( call_sized( i, structs[i].sz+8UL, 0xa5 ) );

    /* One that did not initialise it. */
    ulong const bad[] = { 0UL, 1UL, 7UL, structs[i].first_sz-1UL, 4097UL, ~0UL };
    for( ulong j=0UL; j<sizeof(bad)/sizeof(bad[0]); j++ ) {
      FAILS( FDCKPT_ERR_INVALID_ARGUMENT, call_sized( i, bad[j], 0 ) );
      CHECK_MSG( strstr( fdckpt_last_error()->message, init ), "%s with %lu bytes", init, bad[j] );
    }
  }
}

/* Each field is where it was. */

#define SAME( name, field ) CHECK_EQ( offsetof( first_##name, field ), offsetof( fdckpt_##name##_t, field ) )
#define SAME2( name, a, b )       SAME( name, a ); SAME( name, b )
#define SAME3( name, a, b, c )    SAME2( name, a, b ); SAME( name, c )
#define SAME4( name, a, b, c, d ) SAME2( name, a, b ); SAME2( name, c, d )
#define GREW( name )              CHECK( sizeof(first_##name)<=sizeof(fdckpt_##name##_t) )

static void
check_fields( void ) {
  SAME4( writer_options, style, threads, frame_size, sync ); SAME3( writer_options, no_checksums, on_progress, context );
  SAME4( reader_options, threads, no_checksums, spool_memory, spool_limit ); SAME2( reader_options, on_progress, context );
  SAME4( region_info, name, index, size, checksum ); SAME4( region_info, first_frame, frame_offset, frame_count, style );
  SAME( region_info, has_checksum );
  SAME4( frame_info, offset, file_bytes, data_bytes, checksum ); SAME2( frame_info, style, has_checksum );
  SAME4( reader_info, region_count, frame_count, attribute_count, data_bytes );
  SAME3( reader_info, file_bytes, has_checksums, spool );
  SAME4( salvage_stats, verified_count, partial_count, unverified_count, lost_count ); SAME( salvage_stats, index_found );
  SAME4( parallel_stats, speculative_segments, mispredicted_segments, warm_up_bytes, recompressed_bytes );
  SAME3( container_section, offset, size, type );
  SAME4( fti_options, format, ckpt_id, threads, sync ); SAME3( fti_options, partner_file_size, group_max_file_size, timestamp_ns );
  SAME4( fti_update_options, block_size, hash, mode, save_hashes );
  SAME4( fti_update_stats, block_count, changed_block_count, changed_bytes, is_full ); SAME( fti_update_stats, hashes_saved );
  SAME4( fti_file_header, offset, ckpt_size, meta_size, data_size ); SAME3( fti_file_header, file_size, group_max_file_size, partner_file_size );
  SAME4( fti_file_header, timestamp_ns, ckpt_id, format, block_count );
  SAME4( fti_file_header, container_count, variable_count, checksum, header_hash );
  SAME3( fti_file_variable, size, container_count, id );
  SAME4( fti_file_container, offset, block_index, dptr, fptr ); SAME4( fti_file_container, chunk_size, container_size, hash, id );
  SAME4( fti_file_container, idx, container_id, has_content, has_ckpt );
  SAME4( inflate, next_in, avail_in, total_in, next_out ); SAME4( inflate, avail_out, total_out, msg, state );
  SAME2( inflate, error_bit_offset, error_code );

  SAME4( error, code, errnum, offset, frame ); SAME4( error, function, message, path, region ); GREW( error );
  SAME3( progress, data_bytes, total_bytes, file_bytes ); GREW( progress );
  SAME3( issue, region, message, region_index ); SAME3( issue, frame, offset, code ); GREW( issue );
  SAME3( container_issue, offset, section, message ); GREW( container_issue );
  SAME4( fti_file_issue, path, variable_id, container_index, offset ); SAME4( fti_file_issue, field, expected, actual, message );
  SAME( fti_file_issue, severity ); GREW( fti_file_issue );
  SAME4( fti_file_difference, kind, variable_id, first, second ); GREW( fti_file_difference );
}

/* What the first program reads is there. */

static void
check_values( void ) {
  first_region_info region = { .struct_size = sizeof(region) };
  WORKS( region_at( &region ) );
  CHECK( !strcmp( region.name, "number" ) );
  CHECK_EQ( region.size, sizeof(number) );
  CHECK_EQ( region.has_checksum, 1 );
  first_fti_file_header head = { .struct_size = sizeof(head) };
  WORKS( header( &head ) );
  CHECK_EQ( head.format, FDCKPT_FTI_FORMAT_POST_1_6 );
  CHECK_EQ( strlen( head.checksum ), 32 );
  first_container_section first = { .struct_size = sizeof(first) };
  WORKS( section( &first ) );
  CHECK_EQ( first.type, 3 );
  CHECK_EQ( first.size, 5 );
}

TEST_MAIN( "struct_size" ) {
  strcpy( folder+strlen( folder )-6UL, "XXXXXX" );
  if( !mkdtemp( folder ) ) { perror( folder ); abort(); }
  snprintf( path,     sizeof(path),     "%s/state", folder );
  snprintf( copy,     sizeof(copy),     "%s/copy",  folder );
  snprintf( fti_path, sizeof(fti_path), "%s/fti",   folder );
  snprintf( updated_path, sizeof(updated_path), "%s/updated", folder );

  fdckpt_writer_t * writer = fdckpt_writer_open( path, NULL );
  fdckpt_writer_add( writer, "number", &number, sizeof(number) );
  WORKS( fdckpt_writer_commit( writer ) );
  fdckpt_writer_free( writer );
  reader = fdckpt_reader_open( path, NULL );
  container = fdckpt_container_new();
  WORKS( fdckpt_container_set( container, 3, "hello", 5UL ) );
  fti = fdckpt_fti_new();
  WORKS( fdckpt_fti_protect( fti, 1, &number, sizeof(number) ) );
  first_fti_options options = fti_options;
  WORKS( fdckpt_fti_checkpoint( fti, fti_path, (fdckpt_fti_options_t *)&options ) );
  fti_file = fdckpt_fti_file_open( fti_path );
  CHECK( reader && container && fti && fti_file );

  check_fields();
  check_sizes();
  check_values();

  fdckpt_fti_file_free( fti_file );
  fdckpt_fti_free( fti );
  fdckpt_container_free( container );
  fdckpt_reader_free( reader );
  unlink( path ); unlink( copy ); unlink( fti_path ); unlink( updated_path );
  strcat( updated_path, ".journal" ); /* Empty, it stays for the next update */
  unlink( updated_path );
  CHECK_EQ( rmdir( folder ), 0 );
}
