/* golden_trace.c: replays the golden traces.

     golden_trace GOLDEN_DIR [--checkpt stream|mmio|pipe] [--restore stream|mmio|pipe] [NAME...]

   Each NAME.txt in GOLDEN_DIR is a script of calls, NAME.trace the answers
   that it must give (the README there says how they read).  Without NAMEs
   all scripts run.  --checkpt and --restore have the checkpoints made and
   restored in another mode than the scripts say, in which nothing but the
   answers of init may differ; scripts in which a call fails or a position
   matters are left out then, as failures do depend on the mode. */

#include "test.h"

#include <dirent.h>

/* Any library with the API can be tried, also one without our log. */

#pragma weak fdckpt_set_log_callback

enum { MODE_SCRIPT, MODE_STREAM, MODE_MMIO, MODE_PIPE };

#define OVERRIDE_REGION_SZ (16UL<<20) /* Larger than every checkpoint */
#define DATA_MAX           (4096UL)   /* rdata calls per frame */
#define OFF_UNTOUCHED      (777UL)

static fd_checkpt_t checkpt_mem[1];
static fd_restore_t restore_mem[1];

static int           mode_checkpt;
static int           mode_restore;
static uchar const * input;
static ulong         input_sz;

/* The checkpoint that is being made, or was made last. */

static fd_checkpt_t * checkpt;
static int            checkpt_fd = -1;    /* stream: a file, pipe: the end that is written */
static uchar *        checkpt_wbuf;
static uchar *        checkpt_region;     /* mmio */
static ulong          checkpt_region_end; /* mmio: end of the last frame that was closed */
static int            checkpt_drained;    /* pipe: checkpt_drain runs */
static test_peer_t    checkpt_drain;
static uchar *        made;               /* Its bytes, once finished */
static ulong          made_sz;

/* What it is restored with. */

static fd_restore_t * restore;
static int            restore_fd = -1;
static uchar *        restore_rbuf;
static uchar *        restore_region;
static int            restore_fed;
static test_peer_t    restore_feed;
static uchar *        restore_data[ DATA_MAX ]; /* Buffers of this frame's rdata */
static ulong          restore_data_sz[ DATA_MAX ];
static ulong          restore_data_cnt;

/* The answers so far. */

static char * text;
static ulong  text_sz;
static ulong  text_cap;

__attribute__((format(printf,1,2))) static void
say( char const * format,
     ... ) {
  if( text_cap-text_sz<512UL ) {
    text_cap = 2UL*text_cap + 4096UL;
    text     = (char *)realloc( text, text_cap );
    if( !text ) { perror( "realloc" ); abort(); }
  }
  va_list args;
  va_start( args, format );
  int n = vsnprintf( text+text_sz, 512UL, format, args );
  va_end( args );
  text_sz += (ulong)n<511UL ? (ulong)n : 511UL;
}

/* Making ************************************************************/

static void
checkpt_release( void ) {
  if( checkpt && !fd_checkpt_fini( checkpt ) ) fd_checkpt_fini( checkpt );
  checkpt = NULL;
  if( checkpt_fd>=0 ) { close( checkpt_fd ); checkpt_fd = -1; }
  if( checkpt_drained ) {
    test_join( &checkpt_drain );
    free( checkpt_drain.got );
    checkpt_drained = 0;
  }
  free( checkpt_wbuf   ); checkpt_wbuf   = NULL;
  free( checkpt_region ); checkpt_region = NULL;
  checkpt_region_end = 0UL;
}

static void
checkpt_init( int   mode,
              ulong pos,
              ulong sz ) { /* Of the write buffer or of the region */
  checkpt_release();
  if( mode_checkpt!=MODE_SCRIPT && mode_checkpt!=mode ) {
    mode = mode_checkpt;
    sz   = mode==MODE_MMIO ? OVERRIDE_REGION_SZ : FD_CHECKPT_WBUF_MIN;
  }
  if( mode==MODE_MMIO ) {
    checkpt_region = (uchar *)test_alloc( sz );
    checkpt        = fd_checkpt_init_mmio( checkpt_mem, checkpt_region, sz );
    return;
  }
  if( mode==MODE_PIPE ) {
    int fd[2];
    test_pipe( fd );
    checkpt_fd         = fd[1];
    checkpt_drain.step = 0UL;
    test_drain( &checkpt_drain, fd[0] );
    checkpt_drained    = 1;
  } else {
    checkpt_fd = test_file();
    uchar * prefix = (uchar *)test_alloc( pos );
    memset( prefix, 0xee, pos );
    test_write_all( checkpt_fd, prefix, pos );
    free( prefix );
  }
  checkpt_wbuf = (uchar *)test_alloc( sz );
  checkpt      = fd_checkpt_init_stream( checkpt_mem, checkpt_fd, checkpt_wbuf, sz );
}

static void
checkpt_add( int   meta,
             long  at,
             ulong sz ) {
  uchar const * src = at<0L ? NULL : input+at;
  int           err;
  if( meta ) {
    /* A meta buffer may be reused and freed at once. */
    uchar * temporary = NULL;
    if( src ) {
      temporary = (uchar *)test_alloc( sz );
      memcpy( temporary, src, sz );
    }
    err = fd_checkpt_meta( checkpt, temporary, sz );
    if( temporary ) memset( temporary, 0xa5, sz );
    free( temporary );
  } else {
    err = fd_checkpt_data( checkpt, src, sz );
  }
  say( "%d in=%d\n", err, checkpt ? fd_checkpt_in_frame( checkpt ) : -1 );
}

static void
checkpt_fini( void ) {
  int mmio = checkpt && fd_checkpt_is_mmio( checkpt );
  int done = fd_checkpt_fini( checkpt )==(void *)checkpt_mem;
  say( "%s\n", done ? "ok" : "NULL" );

  free( made ); made = NULL; made_sz = 0UL;
  if( mmio ) {
    made_sz = checkpt_region_end;
    made    = (uchar *)test_alloc( made_sz );
    memcpy( made, checkpt_region, made_sz );
  } else if( checkpt_drained ) {
    if( done ) {
      close( checkpt_fd ); checkpt_fd = -1;
      test_join( &checkpt_drain );
      made            = checkpt_drain.got;
      made_sz         = checkpt_drain.sz;
      checkpt_drained = 0;
    }
  } else {
    made = test_slurp( checkpt_fd, &made_sz );
  }
  say( "checkpt sz=%lu fnv=%016lx\n", made_sz, test_fnv( TEST_FNV_INIT, made, made_sz ) );
  if( done ) {
    checkpt = NULL; /* Finished: not to be finished again */
    checkpt_release();
  }
}

/* Restoring *********************************************************/

static void
restore_data_release( void ) {
  for( ulong i=0UL; i<restore_data_cnt; i++ ) free( restore_data[i] );
  restore_data_cnt = 0UL;
}

static void
restore_release( void ) {
  if( restore && !fd_restore_fini( restore ) ) fd_restore_fini( restore );
  restore = NULL;
  if( restore_fd>=0 ) { close( restore_fd ); restore_fd = -1; }
  if( restore_fed ) { test_join( &restore_feed ); restore_fed = 0; }
  free( restore_rbuf   ); restore_rbuf   = NULL;
  free( restore_region ); restore_region = NULL;
  restore_data_release();
}

static void
restore_init( int   mode,
              ulong pos,
              ulong sz ) { /* Of the read buffer */
  restore_release();
  if( mode_restore!=MODE_SCRIPT && mode_restore!=mode ) {
    mode = mode_restore;
    if( sz<FD_RESTORE_RBUF_MIN ) sz = FD_RESTORE_RBUF_MIN;
  }
  if( mode==MODE_MMIO ) {
    /* Exactly the checkpoint, so that reading beyond it is seen. */
    restore_region = (uchar *)test_alloc( made_sz );
    if( made_sz ) memcpy( restore_region, made, made_sz );
    restore = fd_restore_init_mmio( restore_mem, restore_region, made_sz );
    return;
  }
  if( mode==MODE_PIPE ) {
    int fd[2];
    test_pipe( fd );
    restore_fd        = fd[0];
    restore_feed.step = 0UL;
    test_feed( &restore_feed, fd[1], made, made_sz );
    restore_fed       = 1;
  } else {
    restore_fd = test_file_of( made, made_sz );
    lseek( restore_fd, (off_t)pos, SEEK_SET );
  }
  restore_rbuf = (uchar *)test_alloc( sz );
  restore      = fd_restore_init_stream( restore_mem, restore_fd, restore_rbuf, sz );
}

static void
restore_get( int   meta,
             ulong sz ) {
  uchar * buf = (uchar *)test_alloc( sz );
  if( meta ) {
    int err = fd_restore_meta( restore, buf, sz );
    say( "%d fnv=%016lx\n", err, err ? 0UL : test_fnv( TEST_FNV_INIT, buf, sz ) );
    free( buf );
    return;
  }
  int err = fd_restore_data( restore, buf, sz );
  say( "%d\n", err );
  if( restore_data_cnt==DATA_MAX ) { printf( "more than %lu rdata in a frame\n", DATA_MAX ); free( buf ); return; }
  restore_data   [ restore_data_cnt ] = buf; /* Stays put till the frame is closed */
  restore_data_sz[ restore_data_cnt ] = err ? 0UL : sz;
  restore_data_cnt++;
}

static void
restore_close( void ) {
  ulong off  = OFF_UNTOUCHED;
  int   err  = fd_restore_close_advanced( restore, &off );
  ulong hash = TEST_FNV_INIT;
  for( ulong i=0UL; i<restore_data_cnt; i++ ) hash = test_fnv( hash, restore_data[i], restore_data_sz[i] );
  say( "%d off=%lu fnv=%016lx\n", err, off, hash );
}

/* Scripts ***********************************************************/

/* run_line does what one line of a script says.  Returns 0 if it is not
   understood. */

static int
run_line( char const * line ) {
  char  op[ 32 ];
  long  a   = 0L;
  long  b   = 0L;
  int   cnt = sscanf( line, "%31s %ld %ld", op, &a, &b );
  ulong off = OFF_UNTOUCHED;
# define OP( name, args ) (cnt==1+(args) && !strcmp( op, name ))

  say( "%s -> ", line );

  int cinit = 1;
  if(      OP( "cinit_stream",    1 ) ) checkpt_init( MODE_STREAM, 0UL,      (ulong)a );
  else if( OP( "cinit_stream_at", 2 ) ) checkpt_init( MODE_STREAM, (ulong)a, (ulong)b );
  else if( OP( "cinit_mmio",      1 ) ) checkpt_init( MODE_MMIO,   0UL,      (ulong)a );
  else cinit = 0;
  if( cinit ) {
    say( "%s mmio=%d\n", checkpt ? "ok" : "NULL", checkpt ? fd_checkpt_is_mmio( checkpt ) : -1 );
    return 1;
  }

  int rinit = 1;
  if(      OP( "rinit_stream",    1 ) ) restore_init( MODE_STREAM, 0UL,      (ulong)a );
  else if( OP( "rinit_stream_at", 2 ) ) restore_init( MODE_STREAM, (ulong)a, (ulong)b );
  else if( OP( "rinit_mmio",      1 ) ) restore_init( MODE_MMIO,   0UL,      (ulong)a );
  else if( OP( "rinit_pipe",      1 ) ) restore_init( MODE_PIPE,   0UL,      (ulong)a );
  else rinit = 0;
  if( rinit ) {
    say( "%s mmio=%d sz=%lu\n", restore ? "ok" : "NULL", restore ? fd_restore_is_mmio( restore ) : -1,
         restore ? fd_restore_sz( restore ) : 0UL );
    return 1;
  }

  if( OP( "copen", 1 ) ) {
    int err = fd_checkpt_open_advanced( checkpt, (int)a, &off );
    say( "%d off=%lu can=%d in=%d\n", err, off, checkpt ? fd_checkpt_can_open( checkpt ) : -1,
         checkpt ? fd_checkpt_in_frame( checkpt ) : -1 );
  } else if( OP( "cclose", 0 ) ) {
    int err = fd_checkpt_close_advanced( checkpt, &off );
    if( !err ) checkpt_region_end = off;
    say( "%d off=%lu can=%d\n", err, off, checkpt ? fd_checkpt_can_open( checkpt ) : -1 );
  } else if( OP( "cmeta", 2 ) || OP( "cdata", 2 ) ) {
    if( a<-1L || b<0L || (a>=0L && (ulong)a+(ulong)b>input_sz) ) return 0;
    checkpt_add( op[1]=='m', a, (ulong)b );
  } else if( OP( "cfini", 0 ) ) {
    checkpt_fini();
  } else if( OP( "ropen", 1 ) ) {
    restore_data_release();
    int err = fd_restore_open_advanced( restore, (int)a, &off );
    say( "%d off=%lu can=%d in=%d\n", err, off, restore ? fd_restore_can_open( restore ) : -1,
         restore ? fd_restore_in_frame( restore ) : -1 );
  } else if( OP( "rclose", 0 ) ) {
    restore_close();
  } else if( OP( "rseek", 1 ) ) {
    int err = fd_restore_seek( restore, (ulong)a );
    say( "%d can=%d\n", err, restore ? fd_restore_can_open( restore ) : -1 );
  } else if( OP( "rmeta", 1 ) || OP( "rdata", 1 ) ) {
    restore_get( op[1]=='m', (ulong)a );
  } else if( OP( "rfini", 0 ) ) {
    int done = fd_restore_fini( restore )==(void *)restore_mem;
    say( "%s\n", done ? "ok" : "NULL" );
    if( done ) {
      restore = NULL; /* Finished: not to be finished again */
      restore_release();
    }
  } else {
    return 0;
  }
# undef OP
  return 1;
}

/* read_text returns the file NAME.SUFFIX as a string, NULL if it can't be
   read. */

static char *
read_text( char const * dir,
           char const * name,
           char const * suffix,
           ulong *      sz ) {
  char path[ 4096 ];
  if( snprintf( path, sizeof(path), "%s/%s%s", dir, name, suffix )>=(int)sizeof(path) ) return NULL;
  int fd = open( path, O_RDONLY | O_CLOEXEC );
  if( fd<0 ) { printf( "%s: %s\n", path, strerror( errno ) ); return NULL; }
  uchar * mem = test_slurp( fd, sz );
  close( fd );
  char * string = (char *)test_alloc( *sz+1UL );
  memcpy( string, mem, *sz );
  free( mem );
  return string;
}

/* next_line cuts the line at *at off and returns it, NULL at the end. */

static char *
next_line( char ** at ) {
  char * line = *at;
  if( !line || !*line ) return NULL;
  char * end = strchr( line, '\n' );
  if( end ) *end++ = '\0';
  *at = end;
  return line;
}

/* is_plain returns 1 if the mode can't matter: every call succeeds, at no
   particular position. */

static int
is_plain( char const * trace ) {
  if( strstr( trace, "rseek" ) || strstr( trace, "_at " ) ) return 0;
  for( char const * at=trace; (at = strstr( at, " -> " )); ) {
    at += 4;
    if( strncmp( at, "0 ", 2UL ) && strncmp( at, "0\n", 2UL ) && strncmp( at, "ok", 2UL ) ) return 0;
  }
  return 1;
}

/* same compares an answer with the one wanted.  If the mode is not that of
   the script, then what init says of the mode is left out. */

static int
same( char const * want,
      char const * got ) {
  if( !want || !got ) return want==got;
  if( (mode_checkpt!=MODE_SCRIPT && !strncmp( want, "cinit", 5UL )) ||
      (mode_restore!=MODE_SCRIPT && !strncmp( want, "rinit", 5UL )) ) {
    char const * end = strstr( want, " mmio=" );
    if( end ) return !strncmp( want, got, (ulong)(end-want)+6UL );
  }
  return !strcmp( want, got );
}

/* replay runs one script.  Returns 1 if all answers are right, 0 if not,
   -1 if the script was left out. */

static int
replay( char const * dir,
        char const * name,
        ulong *      lines ) {
  ulong  script_sz = 0UL;
  ulong  trace_sz  = 0UL;
  char * script    = read_text( dir, name, ".txt",   &script_sz );
  char * trace     = read_text( dir, name, ".trace", &trace_sz  );
  int    good      = script && trace;
  if( good && (mode_checkpt!=MODE_SCRIPT || mode_restore!=MODE_SCRIPT) && !is_plain( trace ) ) good = -1;

  if( good==1 ) {
    text_sz = 0UL;
    say( "%s", "" ); /* Makes text non-NULL */
    char * at = script;
    for( char * line; (line = next_line( &at )); ) {
      if( *line=='\0' || *line=='#' ) continue;
      if( !run_line( line ) ) { printf( "%s: not understood: %s\n", name, line ); good = 0; break; }
    }
    checkpt_release();
    restore_release();
    free( made ); made = NULL; made_sz = 0UL;

    char * want_at = trace;
    char * got_at  = text;
    for( ulong n=1UL; good; n++ ) {
      char * want = next_line( &want_at );
      char * got  = next_line( &got_at  );
      if( !want && !got ) break;
      ++*lines;
      if( same( want, got ) ) continue;
      printf( "%s: line %lu differs\n  want %s\n  got  %s\n", name, n, want ? want : "(end)", got ? got : "(end)" );
      good = 0;
    }
  }

  free( script );
  free( trace );
  return good;
}

static int
compare_names( void const * a,
               void const * b ) {
  return strcmp( *(char * const *)a, *(char * const *)b );
}

/* list_names returns the names (each, and the list, to be freed) of the
   scripts in dir, sorted. */

static char **
list_names( char const * dir,
            ulong *      cnt ) {
  *cnt = 0UL;
  DIR * d = opendir( dir );
  if( !d ) { printf( "%s: %s\n", dir, strerror( errno ) ); return NULL; }
  char ** names = NULL;
  for( struct dirent * entry; (entry = readdir( d )); ) {
    ulong len = strlen( entry->d_name );
    if( len<5UL || strcmp( entry->d_name+len-4UL, ".txt" ) ) continue;
    names = (char **)realloc( names, (*cnt+1UL)*sizeof(char *) );
    if( !names ) { perror( "realloc" ); abort(); }
    names[ *cnt ] = (char *)test_alloc( len-3UL );
    memcpy( names[ *cnt ], entry->d_name, len-4UL );
    ++*cnt;
  }
  closedir( d );
  if( names ) qsort( names, *cnt, sizeof(char *), compare_names );
  return names;
}

static int
parse_mode( char const * name ) {
  if( !strcmp( name, "stream" ) ) return MODE_STREAM;
  if( !strcmp( name, "mmio"   ) ) return MODE_MMIO;
  if( !strcmp( name, "pipe"   ) ) return MODE_PIPE;
  return -1;
}

int
main( int     argc,
      char ** argv ) {
  char const * dir = argc>1 ? argv[1] : NULL;
  int          arg = 2;
  int          bad = !dir;
  mode_checkpt = mode_restore = MODE_SCRIPT;
  for( ; !bad && arg+1<argc && !strncmp( argv[ arg ], "--", 2UL ); arg+=2 ) {
    int mode = parse_mode( argv[ arg+1 ] );
    if(      mode>=0 && !strcmp( argv[ arg ], "--checkpt" ) ) mode_checkpt = mode;
    else if( mode>=0 && !strcmp( argv[ arg ], "--restore" ) ) mode_restore = mode;
    else bad = 1;
  }
  if( bad || (arg<argc && !strncmp( argv[ arg ], "--", 2UL )) ) {
    printf( "usage: golden_trace GOLDEN_DIR [--checkpt stream|mmio|pipe] [--restore stream|mmio|pipe] [NAME...]\n" );
    return 2;
  }

  char * data = read_text( dir, "input", ".bin", &input_sz );
  if( !data ) return 1;
  input = (uchar const *)data;
  if( fdckpt_set_log_callback ) fdckpt_set_log_callback( test_quiet, NULL );

  ulong   cnt   = 0UL;
  char ** names = NULL;
  int     given = arg<argc;
  if( given ) cnt = (ulong)(argc-arg);
  else        names = list_names( dir, &cnt );

  ulong run = 0UL, lines = 0UL, failed = 0UL;
  for( ulong i=0UL; i<cnt; i++ ) {
    int good = replay( dir, given ? argv[ arg+(int)i ] : names[i], &lines );
    if( good>=0 ) run++;
    if( !good ) failed++;
  }
  if( !run ) printf( "no trace was run\n" );

  for( ulong i=0UL; !given && i<cnt; i++ ) free( names[i] );
  free( names );
  free( data );
  free( text ); text = NULL; text_sz = text_cap = 0UL;
  if( fdckpt_set_log_callback ) fdckpt_set_log_callback( NULL, NULL );

  printf( "golden_trace: %lu traces, %lu lines, %lu failed\n", run, lines, failed );
  fflush( stdout );
  return (run && !failed) ? 0 : 1;
}
