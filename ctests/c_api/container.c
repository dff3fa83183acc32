/* container.c: the container and the index of blocks, through the C API:
   what each function does, and what it does with arguments that are not
   acceptable. */

#include "test.h"

/* NOT_LOGGED( want, call ) checks that a call returns this code, logs
   nothing, and that fdckpt_last_error tells the code. */

#define NOT_LOGGED( want, call ) do {                 \
    test_before = test_logged;                        \
    CHECK_EQ( (call), (want) );                       \
    CHECK_EQ( test_logged, test_before );             \
    CHECK_EQ( fdckpt_last_error()->code, (want) );    \
  } while(0)

/* FAILED( want, call ) is for calls that return NULL. */

#define FAILED( want, call ) do { REFUSED( call ); CHECK_EQ( fdckpt_last_error()->code, (want) ); } while(0)

#define META( text ) text, sizeof(text)-1UL

/* make_file returns a file of data, metadata and trailer, to be freed. */

static uchar *
make_file( char const * data,
           ulong        data_sz,
           char const * meta,
           ulong        meta_sz,
           ulong *      sz ) {
  uchar * file = (uchar *)test_alloc( data_sz+meta_sz+8UL );
  uint32_t len = (uint32_t)meta_sz;
  memcpy( file,                       data,   data_sz );
  memcpy( file+data_sz,               meta,   meta_sz );
  memcpy( file+data_sz+meta_sz,       &len,   4UL );
  memcpy( file+data_sz+meta_sz+4UL,   "CKPT", 4UL );
  *sz = data_sz+meta_sz+8UL;
  return file;
}

static int
has( fdckpt_container_t const * container,
     int                        type,
     char const *               want ) {
  void const * buf = NULL;
  size_t       sz  = 0UL;
  return !fdckpt_container_find( container, type, &buf, &sz ) && buf && sz==strlen( want ) && !memcmp( buf, want, sz );
}

/* serialize returns what a container is written as, to be freed. */

static uchar *
serialize( fdckpt_container_t const * container,
           size_t *                   sz ) {
  uint64_t size = 0UL;
  WORKS( fdckpt_container_serialized_size( container, &size ) );
  uchar * file = (uchar *)test_alloc( size );
  WORKS( fdckpt_container_serialize( container, file, size, sz ) );
  CHECK_EQ( *sz, size );
  return file;
}

static void
check_making( void ) {
  static char const want[] = "\x01\x02zwei{\"version\":1,\"sections\":[{\"type\":1,\"offset\":0,\"length\":2},"
                             "{\"type\":2,\"offset\":2,\"length\":4}]}\x5c\0\0\0CKPT";
  fdckpt_container_t * container = fdckpt_container_new();
  CHECK( container );
  CHECK_EQ( fdckpt_container_section_count( container ), 0UL );
  CHECK_EQ( fdckpt_container_version( container ), 1L );
  size_t  sz;
  uchar * file = serialize( container, &sz );
  CHECK_EQ( sz, 37UL );
  free( file );

  uchar copied[2] = { 1, 2 };
  WORKS( fdckpt_container_set( container, 2, "zwo", 3UL ) );
  WORKS( fdckpt_container_set( container, 1, copied, 2UL ) );
  copied[0] = 77;
  char kept[] = "Zwei";
  WORKS( fdckpt_container_set_borrowed( container, 2, kept, 4UL ) );
  kept[0] = 'z';
  CHECK_EQ( fdckpt_container_section_count( container ), 2UL );
  file = serialize( container, &sz );
  CHECK( sz==sizeof(want)-1UL && !memcmp( file, want, sz ) );

  /* Memory that is too small stays as it is. */
  uchar * memory = (uchar *)test_alloc( sz );
  size_t  needed = 0UL;
  NOT_LOGGED( FDCKPT_ERR_BUFFER_TOO_SMALL, fdckpt_container_serialize( container, memory, sz-1UL, &needed ) );
  CHECK_EQ( needed, sz );
  for( ulong i=0UL; i<sz; i++ ) CHECK( !memory[i] );
  NOT_LOGGED( FDCKPT_ERR_BUFFER_TOO_SMALL, fdckpt_container_serialize( container, NULL, 0UL, &needed ) );
  free( memory );

  fdckpt_container_section_t section = FDCKPT_CONTAINER_SECTION_INIT;
  WORKS( fdckpt_container_section_info( container, 1UL, &section ) );
  CHECK_EQ( section.type, 2 );
  CHECK_EQ( section.offset, 2L );
  CHECK_EQ( section.size, 4L );
  WORKS( fdckpt_container_remove( container, 1 ) );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_container_remove( container, 1 ) );
  WORKS( fdckpt_container_section_info( container, 0UL, &section ) );
  CHECK_EQ( section.offset, 0L );
  fdckpt_container_free( container );

  CHECK_EQ( fdckpt_container_probe( file, sz ), 1 );
  CHECK_EQ( fdckpt_container_probe( file, sz-1UL ), 0 );
  CHECK_EQ( fdckpt_container_probe( file+sz-7UL, 7UL ), 0 );
  CHECK_EQ( fdckpt_container_probe( file+sz-8UL, 8UL ), 1 );
  CHECK_EQ( fdckpt_container_probe( NULL, 0UL ), 0 );

  container = fdckpt_container_parse( file, sz );
  CHECK( container );
  void const * buf;
  size_t       buf_sz;
  WORKS( fdckpt_container_find( container, 2, &buf, &buf_sz ) );
  CHECK( buf==file+2 ); /* Not copied */
  WORKS( fdckpt_container_verify( container, NULL, NULL ) );
  /* Empty data has an address all the same. */
  WORKS( fdckpt_container_set( container, 3, NULL, 0UL ) );
  buf = NULL; buf_sz = 1UL;
  WORKS( fdckpt_container_find( container, 3, &buf, &buf_sz ) );
  CHECK( (ulong)buf>4096UL && !buf_sz ); /* An address that is one */
  fdckpt_container_free( container );
  free( file );
}

static void
check_reading( void ) {
  ulong sz;
  uchar * file;
  FAILED( FDCKPT_ERR_FORMAT,  fdckpt_container_parse( NULL, 0UL ) );
  FAILED( FDCKPT_ERR_FORMAT,  fdckpt_container_parse( "0123456789", 10UL ) );
  FAILED( FDCKPT_ERR_CORRUPT, fdckpt_container_parse( "\xff\xff\xff\xff" "CKPT", 8UL ) );
  file = make_file( META( "data" ), META( "{\"version\":1,]" ), &sz );
  FAILED( FDCKPT_ERR_CORRUPT, fdckpt_container_parse( file, sz ) );
  CHECK_EQ( fdckpt_last_error()->offset, 4UL+13UL );
  CHECK( strstr( fdckpt_last_error()->message, "offset 17" ) );
  free( file );

  /* Any numbers, and a type twice. */
  file = make_file( META( "data" ), META( "{\"version\":9,\"sections\":[{\"type\":7,\"offset\":1,\"length\":2},"
                    "{\"type\":7,\"length\":4},{\"type\":8,\"offset\":-5,\"length\":9223372036854775807}]}" ), &sz );
  fdckpt_container_t * container = fdckpt_container_parse( file, sz );
  CHECK( container );
  CHECK_EQ( fdckpt_container_version( container ), 9L );
  CHECK_EQ( fdckpt_container_section_count( container ), 3UL );
  CHECK( has( container, 7, "at" ) );
  void const * buf    = file;
  size_t       buf_sz = 5UL;
  FAILS( FDCKPT_ERR_OUT_OF_RANGE, fdckpt_container_find( container, 8, &buf, &buf_sz ) );
  CHECK( strstr( fdckpt_last_error()->message, "out of range" ) );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_container_find( container, 9, &buf, &buf_sz ) );
  CHECK( buf==file && buf_sz==5UL );
  WORKS( fdckpt_container_section_data( container, 1UL, &buf, &buf_sz ) );
  CHECK( buf==file && buf_sz==4UL );
  FAILS( FDCKPT_ERR_OUT_OF_RANGE, fdckpt_container_section_data( container, 2UL, &buf, &buf_sz ) );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_container_section_data( container, 3UL, &buf, &buf_sz ) );
  fdckpt_container_section_t section = FDCKPT_CONTAINER_SECTION_INIT;
  WORKS( fdckpt_container_section_info( container, 2UL, &section ) );
  CHECK( section.type==8 && section.offset==-5L && section.size==LONG_MAX );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_container_section_info( container, 3UL, &section ) );

  /* A change needs all that stays; a failed one changes nothing. */
  FAILS( FDCKPT_ERR_OUT_OF_RANGE, fdckpt_container_set( container, 1, "x", 1UL ) );
  FAILS( FDCKPT_ERR_OUT_OF_RANGE, fdckpt_container_set_borrowed( container, 1, "x", 1UL ) );
  FAILS( FDCKPT_ERR_OUT_OF_RANGE, fdckpt_container_remove( container, 7 ) );
  CHECK_EQ( fdckpt_container_section_count( container ), 3UL );
  WORKS( fdckpt_container_set( container, 8, "new", 3UL ) );
  CHECK( has( container, 8, "new" ) && has( container, 7, "at" ) );
  fdckpt_container_free( container );
  free( file );
}

static void
check_arguments( void ) {
  fdckpt_container_t * container = fdckpt_container_new();
  fdckpt_container_t * crooked   = (fdckpt_container_t *)(void *)((char *)container+1);
  void const *         buf       = NULL;
  size_t               sz        = 77UL;
  uint64_t             size      = 77UL;
  uchar                mem[ 64 ] = { 0 };
  fdckpt_container_section_t section = FDCKPT_CONTAINER_SECTION_INIT;
  fdckpt_block_t             blocks[1];
  fdckpt_block_footer_t      footer;
  memset( blocks,  0, sizeof(blocks)  );
  memset( &footer, 0, sizeof(footer)  );

  for( int i=0; i<2; i++ ) {
    fdckpt_container_t * bad = i ? crooked : NULL;
#   define BAD( call ) FAILS( FDCKPT_ERR_INVALID_ARGUMENT, call )
    BAD( fdckpt_container_set            ( bad, 1, "x", 1UL ) );
    BAD( fdckpt_container_set_borrowed        ( bad, 1, "x", 1UL ) );
    BAD( fdckpt_container_remove         ( bad, 1 ) );
    BAD( fdckpt_container_find            ( bad, 1, &buf, &sz ) );
    BAD( fdckpt_container_section_info        ( bad, 0UL, &section ) );
    BAD( fdckpt_container_section_data           ( bad, 0UL, &buf, &sz ) );
    BAD( fdckpt_container_serialized_size( bad, &size ) );
    BAD( fdckpt_container_serialize      ( bad, mem, sizeof(mem), &sz ) );
    BAD( fdckpt_container_write          ( bad, 1 ) );
    BAD( fdckpt_container_append         ( bad, 1 ) );
    BAD( fdckpt_container_verify         ( bad, NULL, NULL ) );
    CHECK_EQ( fdckpt_container_section_count  ( bad ), 0UL );
    CHECK_EQ( fdckpt_container_version( bad ), 0L  );
  }
  fdckpt_container_free( NULL );
  fdckpt_container_free( crooked );

  static int const types[] = { -1, 256, INT_MAX, INT_MIN };
  for( int i=0; i<4; i++ ) {
    BAD( fdckpt_container_set    ( container, types[i], "x", 1UL ) );
    BAD( fdckpt_container_set_borrowed( container, types[i], "x", 1UL ) );
    BAD( fdckpt_container_remove ( container, types[i] ) );
    BAD( fdckpt_container_find    ( container, types[i], &buf, &sz ) );
  }
  BAD( fdckpt_container_set            ( container, 1, NULL, 1UL ) );
  BAD( fdckpt_container_set            ( container, 1, mem, ULONG_MAX ) );
  BAD( fdckpt_container_set_borrowed        ( container, 1, NULL, 1UL ) );
  BAD( fdckpt_container_set_borrowed        ( container, 1, mem, 1UL<<63 ) );
  BAD( fdckpt_container_find            ( container, 1, NULL, &sz ) );
  BAD( fdckpt_container_find            ( container, 1, &buf, NULL ) );
  BAD( fdckpt_container_section_info        ( container, 0UL, NULL ) );
  BAD( fdckpt_container_section_data           ( container, 0UL, NULL, &sz ) );
  BAD( fdckpt_container_section_data           ( container, 0UL, &buf, NULL ) );
  BAD( fdckpt_container_serialized_size( container, NULL ) );
  BAD( fdckpt_container_serialize      ( container, mem, sizeof(mem), NULL ) );
  BAD( fdckpt_container_serialize      ( container, NULL, sizeof(mem), &sz ) );
  BAD( fdckpt_container_serialize      ( container, mem, ULONG_MAX, &sz ) );
  BAD( fdckpt_container_write          ( container, -1 ) );
  BAD( fdckpt_container_append         ( container, -1 ) );
  FAILED( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_container_open( -1 ) );
  FAILED( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_container_parse( NULL, 8UL ) );
  FAILED( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_container_parse( mem, ULONG_MAX ) );
  CHECK_EQ( fdckpt_container_probe( mem, ULONG_MAX ), 0 );

  size_t cnt = 5UL;
  BAD( fdckpt_block_index_read  ( NULL, 8UL, blocks, 1UL, &cnt, &footer ) );
  CHECK_EQ( cnt, 0UL );
  BAD( fdckpt_block_index_read  ( mem, 53UL, blocks, 1UL, NULL, &footer ) );
  BAD( fdckpt_block_index_decode( mem, 53UL, blocks, 1UL, &cnt, NULL ) );
  BAD( fdckpt_block_index_decode( mem, 53UL, NULL, 1UL, &cnt, &footer ) );
  BAD( fdckpt_block_index_decode( NULL, 53UL, blocks, 1UL, &cnt, &footer ) );
  BAD( fdckpt_block_index_encode( NULL, 1UL, NULL, mem, sizeof(mem), &sz ) );
  BAD( fdckpt_block_index_encode( blocks, 1UL, NULL, NULL, sizeof(mem), &sz ) );
  BAD( fdckpt_block_index_encode( blocks, 1UL, NULL, mem, sizeof(mem), NULL ) );
  BAD( fdckpt_block_index_encode( blocks, 1UL, &footer, mem, sizeof(mem), &sz ) ); /* version 0 */
  BAD( fdckpt_block_index_encode( blocks, ULONG_MAX, NULL, mem, sizeof(mem), &sz ) );
  CHECK( !buf && sz==77UL && size==77UL );
  for( ulong i=0UL; i<sizeof(mem); i++ ) CHECK( !mem[i] );
# undef BAD
  fdckpt_container_free( container );
}

static void
check_files( void ) {
  ulong   big_sz = 300000UL;
  uchar * big    = (uchar *)test_alloc( big_sz );
  test_fill( big, big_sz, 5UL );
  fdckpt_container_t * container = fdckpt_container_new();
  WORKS( fdckpt_container_set    ( container, 1, "one", 3UL ) );
  WORKS( fdckpt_container_set_borrowed( container, 2, big, big_sz ) );
  int fd = test_file();
  WORKS( fdckpt_container_write( container, fd ) );
  ulong   old_sz;
  uchar * old = test_slurp( fd, &old_sz );
  size_t  sz;
  uchar * file = serialize( container, &sz );
  CHECK( sz==old_sz && !memcmp( file, old, sz ) );
  FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_container_append( container, fd ) ); /* New, and the file is not empty */
  fdckpt_container_free( container );
  free( file );

  /* By a map that outlives the descriptor. */
  int twin = dup( fd );
  container = fdckpt_container_open( twin );
  close( twin );
  CHECK( container );
  CHECK( has( container, 1, "one" ) );
  void const * buf;
  WORKS( fdckpt_container_find( container, 2, &buf, &sz ) );
  CHECK( sz==big_sz && !memcmp( buf, big, big_sz ) );
  WORKS( fdckpt_container_set( container, 1, "eins", 4UL ) );
  WORKS( fdckpt_container_append( container, fd ) );
  ulong   new_sz;
  uchar * new_file = test_slurp( fd, &new_sz );
  CHECK( new_sz>old_sz && !memcmp( old, new_file, old_sz ) );
  CHECK( !memcmp( new_file+old_sz, "eins{", 5UL ) );
  FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_container_append( container, fd ) ); /* Open it again */
  CHECK_EQ( test_file_sz( fd ), new_sz );
  fdckpt_container_free( container );
  container = fdckpt_container_open( fd );
  CHECK( has( container, 1, "eins" ) );
  NOT_LOGGED( FDCKPT_ERR_VERIFY_FAILED, fdckpt_container_verify( container, NULL, NULL ) );
  fdckpt_container_free( container );

  /* What can't be mapped, is empty, can't be written. */
  int pipes[2];
  test_pipe( pipes );
  FAILED( FDCKPT_ERR_IO, fdckpt_container_open( pipes[0] ) );
  CHECK( fdckpt_last_error()->errnum );
  FAILED( FDCKPT_ERR_IO, fdckpt_container_open( 9999 ) );
  CHECK_EQ( fdckpt_last_error()->errnum, EBADF );
  int empty = test_file();
  FAILED( FDCKPT_ERR_FORMAT, fdckpt_container_open( empty ) );
  container = fdckpt_container_new();
  WORKS( fdckpt_container_set( container, 1, "one", 3UL ) );
  FAILS( FDCKPT_ERR_IO, fdckpt_container_write( container, 9999 ) );
  FAILS( FDCKPT_ERR_IO, fdckpt_container_append( container, pipes[1] ) );
  WORKS( fdckpt_container_append( container, empty ) );
  WORKS( fdckpt_container_write( container, pipes[1] ) );
  fdckpt_container_free( container );
  container = fdckpt_container_open( empty );
  CHECK( has( container, 1, "one" ) );
  fdckpt_container_free( container );
  close( pipes[0] ); close( pipes[1] ); close( empty ); close( fd );
  free( big ); free( old ); free( new_file );
}

struct findings {
  ulong    cnt;
  uint64_t offset [ 8 ];
  uint64_t section[ 8 ];
  char     text   [ 8 ][ 200 ];
};

static void
on_finding( void *                             context,
            fdckpt_container_issue_t const * finding ) {
  CHECK_EQ( finding->struct_size, sizeof(*finding) );
  struct findings * findings = (struct findings *)context;
  if( findings->cnt<8UL ) {
    findings->offset [ findings->cnt ] = finding->offset;
    findings->section[ findings->cnt ] = finding->section;
    snprintf( findings->text[ findings->cnt ], 200UL, "%s", finding->message );
  }
  findings->cnt++;
}

static void
check_verify( void ) {
  static struct findings findings;
  memset( &findings, 0, sizeof(findings) );
  ulong   sz;
  uchar * file = make_file( META( "data" ), META( "{\"version\":2,\"sections\":[{\"type\":7,\"offset\":0,\"length\":4},"
                            "{\"type\":7,\"offset\":-1,\"length\":4, \"crc\":0}]}" ), &sz );
  fdckpt_container_t * container = fdckpt_container_parse( file, sz );
  NOT_LOGGED( FDCKPT_ERR_VERIFY_FAILED, fdckpt_container_verify( container, on_finding, &findings ) );
  CHECK_EQ( findings.cnt, 5UL );
  CHECK( strstr( findings.text[0], "white space" ) && findings.section[0]==1UL );
  CHECK( file[ findings.offset[0] ]==' ' );
  CHECK( strstr( findings.text[1], "key" ) && !memcmp( file+findings.offset[1], "\"crc", 4UL ) );
  CHECK( strstr( findings.text[2], "version is 2, expected 1" ) && findings.section[2]==FDCKPT_NO_SECTION );
  CHECK( strstr( findings.text[3], "repeated" ) && findings.offset[3]==FDCKPT_NO_OFFSET );
  CHECK( strstr( findings.text[4], "out of range" ) && findings.section[4]==1UL );
  fdckpt_container_free( container );
  free( file );
}

static void
check_blockindex( void ) {
  static uchar const golden[] = {
    0xaa,0xfe,0x21,0x16, 3, 32,0,0,0, 0,0,0,0, 0,0,0,0,0,0,0,0, 0x80,0x84,0x1e,0, 0,0,0,0,0,0,0,0, 99,0,0,0,0,0,0,0,
    0xf2,0xc0,0x10,0x32, 4, 44,0,0,0, 1,0,0,0, 1,0,0,0, 0x80,0x84,0x1e,0,0,0,0,0, 0,0,0,0,0,0,0,0, 41,0,0,0, 6,0, 0,0,
    0x46,0x54,0x52,1, 99,0,0,0,0,0,0,0
  };
  fdckpt_block_t        block = { .block_size = 2000000U, .last_entry_id = 99L };
  fdckpt_block_t        read[2];
  fdckpt_block_footer_t footer;
  uchar                 mem[ 200 ];
  size_t                sz = 0UL, cnt = 0UL;
  NOT_LOGGED( FDCKPT_ERR_BUFFER_TOO_SMALL, fdckpt_block_index_encode( &block, 1UL, NULL, NULL, 0UL, &sz ) );
  CHECK_EQ( sz, sizeof(golden) );
  memset( &footer, 0, sizeof(footer) ); footer.version = 6;
  for( int i=0; i<2; i++ ) { /* As many as no memory could hold: none is read */
    FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_block_index_encode( &block, SIZE_MAX/40UL, i ? &footer : NULL, NULL, 0UL, &sz ) );
    CHECK( strstr( fdckpt_last_error()->message, "too many blocks" ) );
  }
  WORKS( fdckpt_block_index_encode( &block, 1UL, NULL, mem, sizeof(mem), &sz ) );
  CHECK( sz==sizeof(golden) && !memcmp( mem, golden, sz ) );

  WORKS( fdckpt_block_index_decode( golden, sizeof(golden), read, 2UL, &cnt, &footer ) );
  CHECK( cnt==1UL && !memcmp( read, &block, sizeof(block) ) );
  CHECK( footer.version==6 && footer.total_size==2000000UL && footer.last_add_confirmed==99L && footer.index_length==41U );
  cnt = 0UL;
  WORKS( fdckpt_block_index_read( golden, sizeof(golden), NULL, 0UL, &cnt, &footer ) ); /* A legacy file */
  CHECK_EQ( cnt, 1UL );
  footer.version = 5; footer.flags = 1;
  WORKS( fdckpt_block_index_encode( &block, 1UL, &footer, mem, sizeof(mem), &sz ) );
  CHECK_EQ( sz, 41UL+45UL );
  WORKS( fdckpt_block_index_decode( mem, sz, read, 1UL, &cnt, &footer ) );
  CHECK( footer.version==5 && footer.flags==1 && footer.last_add_confirmed==-1L );

  /* In a container; then with the second record damaged. */
  fdckpt_block_t        three[3] = { block, block, block };
  fdckpt_container_t *  container = fdckpt_container_new();
  WORKS( fdckpt_block_index_encode( three, 3UL, NULL, mem, sizeof(mem), &sz ) );
  WORKS( fdckpt_container_set( container, 1, mem, sz ) );
  uchar * file = serialize( container, &sz );
  cnt = 0UL;
  NOT_LOGGED( FDCKPT_ERR_BUFFER_TOO_SMALL, fdckpt_block_index_read( file, sz, read, 2UL, &cnt, &footer ) );
  char needed[80];
  snprintf( needed, sizeof(needed), "buffer too small: %zu bytes, need %zu", 2UL*sizeof(block), 3UL*sizeof(block) );
  CHECK( strstr( fdckpt_last_error()->message, needed ) );
  CHECK_EQ( cnt, 3UL );
  NOT_LOGGED( FDCKPT_ERR_BUFFER_TOO_SMALL, fdckpt_block_index_read( file, sz, read, 0UL, &cnt, &footer ) );
  CHECK_EQ( cnt, 3UL );
  file[ 2UL*41UL+20UL ] ^= 1; /* Both: more blocks than there is space for, and the third is damaged */
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_block_index_read( file, sz, read, 1UL, &cnt, &footer ) );
  CHECK_EQ( cnt, 2UL );
  file[ 2UL*41UL+20UL ] ^= 1;
  file[ 41UL+20UL ] ^= 1;
  read[1].block_size = 5U;
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_block_index_read( file, sz, read, 2UL, &cnt, &footer ) );
  CHECK_EQ( cnt, 1UL );
  CHECK_EQ( fdckpt_last_error()->offset, 41UL );
  CHECK( strstr( fdckpt_last_error()->message, "checksum" ) );
  CHECK( !memcmp( read, &block, sizeof(block) ) && read[1].block_size==5U && footer.total_blocks==3 );
  fdckpt_container_free( container );
  free( file );
  FAILS( FDCKPT_ERR_FORMAT, fdckpt_block_index_read( "", 0UL, NULL, 0UL, &cnt, &footer ) );
  CHECK_EQ( cnt, 0UL );
}

/* Several threads read one container. */

static void *
read_all( void * arg ) {
  fdckpt_container_t const * container = (fdckpt_container_t const *)arg;
  for( int i=0; i<2000; i++ ) {
    void const * buf = NULL;
    size_t       sz  = 0UL;
    CHECK( !fdckpt_container_find( container, i%256, &buf, &sz ) && sz==(size_t)(i%256) );
  }
  return NULL;
}

static void
check_threads( void ) {
  static uchar data[ 256 ];
  fdckpt_container_t * container = fdckpt_container_new();
  for( int type=0; type<256; type++ ) CHECK( !fdckpt_container_set_borrowed( container, type, data, (size_t)type ) );
  pthread_t threads[4];
  for( int i=0; i<4; i++ ) CHECK( !pthread_create( &threads[i], NULL, read_all, container ) );
  for( int i=0; i<4; i++ ) pthread_join( threads[i], NULL );
  fdckpt_container_free( container );
}

TEST_MAIN( "container" ) {
  check_making();
  check_reading();
  check_arguments();
  check_files();
  check_verify();
  check_blockindex();
  check_threads();
}
