/* container.h: the part of scenarios.c that writes, opens and appends to
   containers. */

/* A container of the small, the large and the empty. */
#define LARGE (140000UL)

static uchar * kept;    /* The file of a container with three sections */
static ulong   kept_sz;
static uchar * updated; /* That file after appending */
static ulong   updated_sz;

/* container_judge is judge for functions of fdckpt.h. */

static int
container_judge( char const * function,
                 int          code ) {
  long injected = faults_injected();
  int  hit      = injected>run.seen;
  int  kind     = run.kind->kind;
  int  fault    = run.fault->fault;
  int  want     = FDCKPT_OK;
  int  errnum   = 0;
  run.seen = injected;
  if( hit && kind==KIND_ALLOC ) {
    want   = FDCKPT_ERR_NO_MEMORY;
    errnum = ENOMEM;
  } else if( hit && kind!=KIND_MUNMAP && !((is_io( kind ) || kind==KIND_POLL) && is_transient( fault )) ) {
    /* A read of nothing: the file is shorter than it was. */
    int is_end = fault==FAULT_NOTHING && (kind==KIND_READ || kind==KIND_READV);
    want   = is_end ? FDCKPT_ERR_INVALID_STATE : FDCKPT_ERR_IO;
    errnum = is_end ? 0 : fault==FAULT_NOTHING ? EIO : fault;
  }
  fdckpt_error_t const * error = fdckpt_last_error();
  CHECK_EQ_MSG( code, want, "%s (%s)", function, code ? error->message : "" );
  CHECK_EQ_MSG( test_logged, code ? 1UL : 0UL, "%s", function );
  test_logged = 0UL;
  if( !code ) return 1;
  CHECK_EQ_MSG( error->errnum, errnum, "%s", function );
  CHECK_MSG( !strcmp( error->function, function ), "%s is not %s", error->function, function );
  return 0;
}

#define CONTAINER( name, ... ) container_judge( "fdckpt_container_" #name, LIB( fdckpt_container_##name( __VA_ARGS__ ) ) )

static int made( char const * function, fdckpt_container_t * container ) {
  return container_judge( function, container ? FDCKPT_OK : fdckpt_last_error()->code );
}

static void
container_write( int is_pipe ) {
  int fds[2] = { -1, -1 };
  if( is_pipe ) big_pipe( fds );
  else          fds[1] = test_file();
  arm_plan( fds[1] );
  fdckpt_container_t * container = LIB( fdckpt_container_new() );
  int ok = made( "fdckpt_container_new", container );
  ulong cnt = 0UL;
  if( ok && CONTAINER( set,     container, 1, data, 1000UL ) ) cnt++;
  if( ok && CONTAINER( set_borrowed, container, 2, data, LARGE  ) ) cnt++;
  if( ok && CONTAINER( set,     container, 3, NULL, 0UL    ) ) cnt++;
  CHECK_EQ( ok ? fdckpt_container_section_count( container ) : 0UL, cnt );
  if( ok ) {
    ok = CONTAINER( write, container, fds[1] ) && cnt==3UL;
    LIB( (fdckpt_container_free( container ), 0) );
  }
  uchar * bytes;
  ulong   sz;
  if( is_pipe ) {
    close( fds[1] );
    bytes = (uchar *)test_alloc( kept_sz+1UL );
    sz    = 0UL;
    for( ssize_t n; (n = read( fds[0], bytes+sz, kept_sz+1UL-sz ))>0L; ) sz += (ulong)n;
    close( fds[0] );
  } else {
    bytes = test_slurp( fds[1], &sz );
    close( fds[1] );
  }
  /* Where a section is missing for lack of memory, it is another container. */
  CHECK( sz<=kept_sz );
  if( cnt==3UL ) CHECK( !memcmp( bytes, kept, sz ) );
  if( ok ) CHECK_EQ( sz, kept_sz );
  free( bytes );
}

static void
container_open( int appends ) {
  int fd = test_file_of( kept, kept_sz );
  arm_plan( fd );
  fdckpt_container_t * container = LIB( fdckpt_container_open( fd ) );
  int ok = made( "fdckpt_container_open", container );
  if( container ) {
    void const * buf;
    size_t       sz;
    CHECK( !LIB( fdckpt_container_find( container, 2, &buf, &sz ) ) && sz==LARGE && !memcmp( buf, data, sz ) );
    ok = CONTAINER( verify, container, NULL, NULL );
    if( appends && ok ) {
      ok = CONTAINER( set, container, 1, data+5, 100000UL );
      CHECK_EQ( fdckpt_container_section_count( container ), 3UL );
      ok = ok && CONTAINER( append, container, fd );
    }
    LIB( (fdckpt_container_free( container ), 0) );
  }
  /* As it was, or updated, never anything between. */
  ulong   file_sz;
  uchar * file = test_slurp( fd, &file_sz );
  if( appends && ok ) CHECK( file_sz==updated_sz && !memcmp( file, updated, file_sz ) );
  else                CHECK( file_sz==kept_sz    && !memcmp( file, kept,    file_sz ) );
  free( file );
  close( fd );
}

static void
container_prepare( void ) {
  fdckpt_container_t * container = fdckpt_container_new();
  CHECK( !fdckpt_container_set( container, 1, data, 1000UL ) );
  CHECK( !fdckpt_container_set( container, 2, data, LARGE  ) );
  CHECK( !fdckpt_container_set( container, 3, NULL, 0UL    ) );
  int fd = test_file();
  CHECK( !fdckpt_container_write( container, fd ) );
  fdckpt_container_free( container );
  kept      = test_slurp( fd, &kept_sz );
  container = fdckpt_container_parse( kept, kept_sz );
  CHECK( !fdckpt_container_set( container, 1, data+5, 100000UL ) );
  CHECK( !fdckpt_container_append( container, fd ) );
  fdckpt_container_free( container );
  updated = test_slurp( fd, &updated_sz );
  close( fd );
}
