/* abi.c: constants, layout, accessors, and which call fails with
   which code in which state. */

#include "test.h"

#define OFF_UNTOUCHED (777UL)

/* Values and types **************************************************/

#define IS_ULONG( x ) _Generic( (x), unsigned long: 1, default: 0 )
#define IS_INT( x )   _Generic( (x), int:           1, default: 0 )

static void
check_constants( void ) {
  CHECK_EQ( FD_CHECKPT_SUCCESS,                0 ); CHECK( IS_INT( FD_CHECKPT_SUCCESS                ) );
  CHECK_EQ( FD_CHECKPT_ERR_INVAL,             -1 ); CHECK( IS_INT( FD_CHECKPT_ERR_INVAL              ) );
  CHECK_EQ( FD_CHECKPT_ERR_UNSUP,             -2 ); CHECK( IS_INT( FD_CHECKPT_ERR_UNSUP              ) );
  CHECK_EQ( FD_CHECKPT_ERR_IO,                -3 ); CHECK( IS_INT( FD_CHECKPT_ERR_IO                 ) );
  CHECK_EQ( FD_CHECKPT_ERR_COMP,              -4 ); CHECK( IS_INT( FD_CHECKPT_ERR_COMP               ) );
  CHECK_EQ( FD_CHECKPT_FRAME_STYLE_RAW,        1 ); CHECK( IS_INT( FD_CHECKPT_FRAME_STYLE_RAW        ) );
  CHECK_EQ( FD_CHECKPT_FRAME_STYLE_LZ4,        2 ); CHECK( IS_INT( FD_CHECKPT_FRAME_STYLE_LZ4        ) );
  CHECK_EQ( FD_CHECKPT_FRAME_STYLE_DEFAULT,    1 ); CHECK( IS_INT( FD_CHECKPT_FRAME_STYLE_DEFAULT    ) );
  CHECK_EQ( FD_CHECKPT_META_MAX,           65536 ); CHECK( IS_ULONG( FD_CHECKPT_META_MAX             ) );
  CHECK_EQ( FD_RESTORE_META_MAX,           65536 ); CHECK( IS_ULONG( FD_RESTORE_META_MAX             ) );
  CHECK_EQ( FD_CHECKPT_WBUF_MIN,           69632 ); CHECK( IS_ULONG( FD_CHECKPT_WBUF_MIN             ) );
  CHECK_EQ( FD_RESTORE_RBUF_MIN,           69632 ); CHECK( IS_ULONG( FD_RESTORE_RBUF_MIN             ) );
  CHECK_EQ( FD_CHECKPT_ALIGN,                  8 ); CHECK( IS_ULONG( FD_CHECKPT_ALIGN                ) );
  CHECK_EQ( FD_RESTORE_ALIGN,                  8 ); CHECK( IS_ULONG( FD_RESTORE_ALIGN                ) );
  CHECK_EQ( FD_CHECKPT_FOOTPRINT,         196664 ); CHECK( IS_ULONG( FD_CHECKPT_FOOTPRINT            ) );
  CHECK_EQ( FD_RESTORE_FOOTPRINT,         196680 ); CHECK( IS_ULONG( FD_RESTORE_FOOTPRINT            ) );
  CHECK_EQ( FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX, 65536 ); CHECK( IS_ULONG( FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX ) );
  CHECK_EQ( FD_CHECKPT_PRIVATE_GBUF_SZ,      196608 ); CHECK( IS_ULONG( FD_CHECKPT_PRIVATE_GBUF_SZ       ) );
  CHECK_EQ( FD_RESTORE_PRIVATE_SBUF_SZ,      196608 ); CHECK( IS_ULONG( FD_RESTORE_PRIVATE_SBUF_SZ       ) );

  CHECK( IS_ULONG( FD_CHECKPT_PRIVATE_CSZ_MAX( 1 ) ) );
  CHECK_EQ( FD_CHECKPT_PRIVATE_CSZ_MAX( 0 ),              19 );
  CHECK_EQ( FD_CHECKPT_PRIVATE_CSZ_MAX( 254UL ),         273 );
  CHECK_EQ( FD_CHECKPT_PRIVATE_CSZ_MAX( 255UL ),         275 );
  CHECK_EQ( FD_CHECKPT_PRIVATE_CSZ_MAX( 200UL+310UL ),   531 ); /* Its argument may be an expression */
  CHECK_EQ( FD_CHECKPT_PRIVATE_CSZ_MAX( 65536UL ),     65812 );
  CHECK_EQ( 2UL*FD_CHECKPT_PRIVATE_CSZ_MAX( 1UL ),        40 ); /* And it can be part of one */

  CHECK_EQ( FDCKPT_LOG_WARNING, 3 );
  CHECK( FDCKPT_NO_OFFSET==UINT64_MAX );
  CHECK_EQ( FDCKPT_VERSION_NUMBER, FDCKPT_VERSION_MAJOR*1000000+FDCKPT_VERSION_MINOR*1000+FDCKPT_VERSION_PATCH );
  char version[ 64 ];
  snprintf( version, sizeof(version), "%d.%d.%d", FDCKPT_VERSION_MAJOR, FDCKPT_VERSION_MINOR, FDCKPT_VERSION_PATCH );
  CHECK( !strcmp( version, FDCKPT_VERSION_STRING ) );
  CHECK( !strcmp( version, fdckpt_version()      ) );
}

#define MEMBER( type, member, offset, member_type ) do {                   \
    CHECK_EQ( offsetof( type, member ), (offset) );                        \
    CHECK_EQ( sizeof( ((type *)NULL)->member ), sizeof(member_type) );     \
    CHECK( _Generic( &((type *)NULL)->member, member_type *: 1, default: 0 ) ); \
  } while(0)

typedef uchar         ring_t[ 196608 ];
typedef uchar *       bytes_t;
typedef uchar const * const_bytes_t;
typedef void *        void_t;

static void
check_layout( void ) {
  CHECK( _Generic( (uchar *)NULL, unsigned char *: 1, default: 0 ) );
  CHECK( _Generic( (ulong *)NULL, unsigned long *: 1, default: 0 ) );
  CHECK( _Generic( (fd_checkpt_t *)NULL, struct fd_checkpt_private *: 1, default: 0 ) );
  CHECK( _Generic( (fd_restore_t *)NULL, struct fd_restore_private *: 1, default: 0 ) );

  CHECK_EQ( sizeof(struct fd_checkpt_private), 196664 ); CHECK_EQ( alignof(struct fd_checkpt_private), 8 );
  MEMBER( struct fd_checkpt_private, fd,           0, int     );
  MEMBER( struct fd_checkpt_private, frame_style,  4, int     );
  MEMBER( struct fd_checkpt_private, lz4,          8, void_t  );
  MEMBER( struct fd_checkpt_private, gbuf_cursor, 16, ulong   );
  MEMBER( struct fd_checkpt_private, off,         24, ulong   );
  MEMBER( struct fd_checkpt_private, wbuf,        32, fd_checkpt_private_wbuf_t );
  MEMBER( struct fd_checkpt_private, wbuf.mem,    32, bytes_t );
  MEMBER( struct fd_checkpt_private, wbuf.sz,     40, ulong   );
  MEMBER( struct fd_checkpt_private, wbuf.used,   48, ulong   );
  MEMBER( struct fd_checkpt_private, mmio,        32, fd_checkpt_private_mmio_t );
  MEMBER( struct fd_checkpt_private, mmio.mem,    32, bytes_t );
  MEMBER( struct fd_checkpt_private, mmio.sz,     40, ulong   );
  MEMBER( struct fd_checkpt_private, gbuf,        56, ring_t  );
  CHECK_EQ( sizeof(struct fd_checkpt_private_wbuf), 24 ); CHECK_EQ( alignof(struct fd_checkpt_private_wbuf), 8 );
  CHECK_EQ( sizeof(struct fd_checkpt_private_mmio), 16 ); CHECK_EQ( alignof(struct fd_checkpt_private_mmio), 8 );

  CHECK_EQ( sizeof(struct fd_restore_private), 196680 ); CHECK_EQ( alignof(struct fd_restore_private), 8 );
  MEMBER( struct fd_restore_private, fd,           0, int     );
  MEMBER( struct fd_restore_private, frame_style,  4, int     );
  MEMBER( struct fd_restore_private, lz4,          8, void_t  );
  MEMBER( struct fd_restore_private, sbuf_cursor, 16, ulong   );
  MEMBER( struct fd_restore_private, sz,          24, ulong   );
  MEMBER( struct fd_restore_private, off,         32, ulong   );
  MEMBER( struct fd_restore_private, rbuf,        40, fd_restore_private_rbuf_t );
  MEMBER( struct fd_restore_private, rbuf.mem,    40, bytes_t );
  MEMBER( struct fd_restore_private, rbuf.sz,     48, ulong   );
  MEMBER( struct fd_restore_private, rbuf.lo,     56, ulong   );
  MEMBER( struct fd_restore_private, rbuf.ready,  64, ulong   );
  MEMBER( struct fd_restore_private, mmio,        40, fd_restore_private_mmio_t );
  MEMBER( struct fd_restore_private, mmio.mem,    40, const_bytes_t );
  MEMBER( struct fd_restore_private, sbuf,        72, ring_t  );
  CHECK_EQ( sizeof(struct fd_restore_private_rbuf), 32 ); CHECK_EQ( alignof(struct fd_restore_private_rbuf), 8 );
  CHECK_EQ( sizeof(struct fd_restore_private_mmio),  8 ); CHECK_EQ( alignof(struct fd_restore_private_mmio), 8 );

  MEMBER( fdckpt_error_t, struct_size, 0, size_t   );
  MEMBER( fdckpt_error_t, code,        8, int      );
  MEMBER( fdckpt_error_t, errnum,     12, int      );
  MEMBER( fdckpt_error_t, offset,     16, uint64_t );
  MEMBER( fdckpt_error_t, frame,      24, uint64_t );
  CHECK_EQ( offsetof( fdckpt_error_t, function ), 32 );
  CHECK_EQ( offsetof( fdckpt_error_t, message  ), 40 );
  CHECK_EQ( offsetof( fdckpt_error_t, path     ), 48 );
  CHECK_EQ( offsetof( fdckpt_error_t, region   ), 56 );
  CHECK_EQ( sizeof(fdckpt_error_t), 64 );
  CHECK_EQ( fdckpt_last_error()->struct_size, sizeof(fdckpt_error_t) );
}

/* Compiles only if each function has the type that it must have. */

static void
check_prototypes( void ) {
  fd_checkpt_t * (*c_init_stream)( void *, int, void *, ulong )      = fd_checkpt_init_stream;
  fd_checkpt_t * (*c_init_mmio  )( void *, void *, ulong )           = fd_checkpt_init_mmio;
  fd_restore_t * (*r_init_stream)( void *, int, void *, ulong )      = fd_restore_init_stream;
  fd_restore_t * (*r_init_mmio  )( void *, void const *, ulong )     = fd_restore_init_mmio;
  void *         (*c_fini)( fd_checkpt_t * )                         = fd_checkpt_fini;
  void *         (*r_fini)( fd_restore_t * )                         = fd_restore_fini;
  int            (*c_openx )( fd_checkpt_t *, int, ulong * )         = fd_checkpt_open_advanced;
  int            (*r_openx )( fd_restore_t *, int, ulong * )         = fd_restore_open_advanced;
  int            (*c_closex)( fd_checkpt_t *, ulong * )              = fd_checkpt_close_advanced;
  int            (*r_closex)( fd_restore_t *, ulong * )              = fd_restore_close_advanced;
  int            (*c_put[2])( fd_checkpt_t *, void const *, ulong )  = { fd_checkpt_meta, fd_checkpt_data };
  int            (*r_get[2])( fd_restore_t *, void *, ulong )        = { fd_restore_meta, fd_restore_data };
  int            (*r_seek)( fd_restore_t *, ulong )                  = fd_restore_seek;
  int            (*style )( int )                                    = fd_checkpt_frame_style_is_supported;
  char const *   (*words )( int )                                    = fd_checkpt_strerror;
  int            (*c_get_int[4])( fd_checkpt_t const * ) = { fd_checkpt_is_mmio,  fd_checkpt_fd,
                                                             fd_checkpt_can_open, fd_checkpt_in_frame };
  int            (*r_get_int[4])( fd_restore_t const * ) = { fd_restore_is_mmio,  fd_restore_fd,
                                                             fd_restore_can_open, fd_restore_in_frame };
  ulong          (*c_get_sz[2])( fd_checkpt_t const * )  = { fd_checkpt_wbuf_sz, fd_checkpt_mmio_sz };
  ulong          (*r_get_sz[3])( fd_restore_t const * )  = { fd_restore_rbuf_sz, fd_restore_mmio_sz, fd_restore_sz };
  void *         (*c_get_mem[2])( fd_checkpt_t * )       = { fd_checkpt_wbuf, fd_checkpt_mmio };
  void *         (*r_get_rbuf)( fd_restore_t * )         = fd_restore_rbuf;
  void const *   (*r_get_mmio)( fd_restore_t const * )   = fd_restore_mmio;
  int            (*c_open )( fd_checkpt_t *, int )       = fd_checkpt_open;
  int            (*r_open )( fd_restore_t *, int )       = fd_restore_open;
  int            (*c_close)( fd_checkpt_t * )            = fd_checkpt_close;
  int            (*r_close)( fd_restore_t * )            = fd_restore_close;
  CHECK( c_init_stream && c_init_mmio && r_init_stream && r_init_mmio && c_fini && r_fini && c_openx && r_openx && c_closex );
  CHECK( r_closex && c_put[1] && r_get[1] && r_seek && style && words && c_get_int[3] && r_get_int[3] && c_get_sz[1] );
  CHECK( r_get_sz[2] && c_get_mem[1] && r_get_rbuf && r_get_mmio && c_open && r_open && c_close && r_close );
}

static void
check_words( void ) {
  static struct { int err; char const * text; } const words[] = {
    {  0, "success" }, { -1, "bad input args" }, { -2, "unsupported on this target" }, { -3, "io error" },
    { -4, "compression error" }, { -5, "unknown" }, { 1, "unknown" }, { INT_MIN, "unknown" }, { INT_MAX, "unknown" } };
  for( ulong i=0UL; i<sizeof(words)/sizeof(words[0]); i++ ) {
    char const * text = fd_checkpt_strerror( words[i].err );
    if( !CHECK( text ) ) continue;
    CHECK_MSG( !strcmp( text, words[i].text ), "error %d: %s", words[i].err, text );
  }
  CHECK_EQ( fd_checkpt_frame_style_is_supported(  1 ), 1 );
  CHECK_EQ( fd_checkpt_frame_style_is_supported(  2 ), 1 );
  CHECK_EQ( fd_checkpt_frame_style_is_supported(  3 ), 0 );
  CHECK_EQ( fd_checkpt_frame_style_is_supported( -1 ), 0 );
  CHECK_EQ( fd_checkpt_frame_style_is_supported( 99 ), 0 );
  CHECK_EQ( fd_checkpt_frame_style_is_supported( INT_MIN ), 0 );
  CHECK_EQ( fd_checkpt_frame_style_is_supported( INT_MAX ), 0 );
}

/* Handles ***********************************************************/

/* One test case: a side, a mode, and what the handle's memory holds
   before init. */

static _Alignas(16) uchar checkpt_mem[ FD_CHECKPT_FOOTPRINT+16UL ];
static _Alignas(16) uchar restore_mem[ FD_RESTORE_FOOTPRINT+16UL ];

#define REGION_SZ (300000UL)

static int     mmio;   /* The mode */
static int     fill;   /* What memory holds before init */
static int     fd;     /* The file */
static uchar * iobuf;  /* Of WBUF_MIN bytes */
static uchar * region; /* Of REGION_SZ bytes */
static uchar * data;   /* Of REGION_SZ bytes */
static int     styles[3] = { RAW, LZ4, 0 };

static fd_checkpt_t *
new_checkpt( void ) {
  memset( checkpt_mem, fill, sizeof(checkpt_mem) );
  if( !mmio && (ftruncate( fd, 0L ) || lseek( fd, 0L, SEEK_SET )) ) perror( "ftruncate" );
  fd_checkpt_t * c = mmio ? fd_checkpt_init_mmio  ( checkpt_mem, region, REGION_SZ )
                          : fd_checkpt_init_stream( checkpt_mem, fd, iobuf, FD_CHECKPT_WBUF_MIN );
  CHECK_EQ( c, checkpt_mem );
  return c;
}

/* What is restored: RAW 100 bytes, LZ4 65536+1000 bytes. */

#define FRAME_0_SZ (100UL)

static ulong made_sz;

static void
make( void ) {
  fd_checkpt_t * c = new_checkpt();
  ulong sz_0[1] = { FRAME_0_SZ };
  ulong sz_1[2] = { 65536UL, 1000UL };
  WORKS( test_save( c, RAW, data, sz_0, 1UL ) );
  WORKS( test_save( c, LZ4, data, sz_1, 2UL ) );
  made_sz = c->off;
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
}

static fd_restore_t *
new_restore( void ) {
  memset( restore_mem, fill, sizeof(restore_mem) );
  if( !mmio ) lseek( fd, 0L, SEEK_SET );
  fd_restore_t * r = mmio ? fd_restore_init_mmio  ( restore_mem, region, made_sz )
                          : fd_restore_init_stream( restore_mem, fd, iobuf, FD_RESTORE_RBUF_MIN );
  CHECK_EQ( r, restore_mem );
  return r;
}

/* These check what the accessors say.  state is 0 if a frame can be
   opened, a style in a frame, -1 if failed. */

static void
check_checkpt( fd_checkpt_t * c,
               int            state ) {
  CHECK_EQ( fd_checkpt_is_mmio ( c ), mmio );
  CHECK_EQ( fd_checkpt_fd      ( c ), mmio ? -1 : fd );
  CHECK_EQ( fd_checkpt_wbuf    ( c ), mmio ? NULL : iobuf );
  CHECK_EQ( fd_checkpt_wbuf_sz ( c ), mmio ? 0UL : FD_CHECKPT_WBUF_MIN );
  CHECK_EQ( fd_checkpt_mmio    ( c ), mmio ? region : NULL );
  CHECK_EQ( fd_checkpt_mmio_sz ( c ), mmio ? REGION_SZ : 0UL );
  CHECK_EQ( fd_checkpt_can_open( c ), state==0 );
  CHECK_EQ( fd_checkpt_in_frame( c ), state> 0 );
  CHECK_EQ( c->frame_style, state );
}

static void
check_restore( fd_restore_t * r,
               int            state ) {
  CHECK_EQ( fd_restore_is_mmio ( r ), mmio );
  CHECK_EQ( fd_restore_fd      ( r ), mmio ? -1 : fd );
  CHECK_EQ( fd_restore_rbuf    ( r ), mmio ? NULL : iobuf );
  CHECK_EQ( fd_restore_rbuf_sz ( r ), mmio ? 0UL : FD_RESTORE_RBUF_MIN );
  CHECK_EQ( fd_restore_mmio    ( r ), mmio ? region : NULL );
  CHECK_EQ( fd_restore_mmio_sz ( r ), mmio ? made_sz : 0UL );
  CHECK_EQ( fd_restore_sz      ( r ), made_sz );
  CHECK_EQ( fd_restore_can_open( r ), state==0 );
  CHECK_EQ( fd_restore_in_frame( r ), state> 0 );
  CHECK_EQ( r->frame_style, state );
}

/* These check that a handle is failed, stays so whatever is called, and
   can be finished. */

static void
check_checkpt_failed( fd_checkpt_t * c ) {
  ulong off = OFF_UNTOUCHED;
  check_checkpt( c, -1 );
  for( int i=0; i<3; i++ ) {
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, styles[i], &off ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open( c, styles[i] ) );
  }
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, 99, &off ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, RAW, NULL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, &off ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, NULL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close( c ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, data, 1UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, data, 1UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, data, 0UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, NULL, 0UL ) );
  CHECK_EQ( off, OFF_UNTOUCHED );
  check_checkpt( c, -1 );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
}

static void
check_restore_failed( fd_restore_t * r ) {
  ulong off = OFF_UNTOUCHED;
  uchar byte = 0x5a;
  check_restore( r, -1 );
  for( int i=0; i<3; i++ ) {
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, styles[i], &off ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open( r, styles[i] ) );
  }
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, 99, &off ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, RAW, NULL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, &off ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, NULL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close( r ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, &byte, 1UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, &byte, 1UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, &byte, 0UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, NULL, 0UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, 0UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, ULONG_MAX ) );
  CHECK_EQ( off,  OFF_UNTOUCHED );
  CHECK_EQ( byte, 0x5a );
  check_restore( r, -1 );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
}

/* Calls without a handle, or with one that can't be: the memory that it
   points to must not change. */

static void
check_no_handle( void ) {
  ulong off = OFF_UNTOUCHED;
  uchar byte = 0x5a;
  uchar * before_c = (uchar *)test_alloc( sizeof(checkpt_mem) );
  uchar * before_r = (uchar *)test_alloc( sizeof(restore_mem) );

  for( int shift=0; shift<8; shift++ ) { /* 0: NULL, else misaligned by that */
    fd_checkpt_t * c = shift ? (fd_checkpt_t *)(void *)(checkpt_mem+shift) : NULL;
    fd_restore_t * r = shift ? (fd_restore_t *)(void *)(restore_mem+shift) : NULL;
    memset( checkpt_mem, fill, sizeof(checkpt_mem) );
    memset( restore_mem, fill, sizeof(restore_mem) );
    memcpy( before_c, checkpt_mem, sizeof(checkpt_mem) );
    memcpy( before_r, restore_mem, sizeof(restore_mem) );

    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced ( c, RAW, &off ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced ( c, 99,  NULL ) ); /* Neither UNSUP nor a crash */
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, &off ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, NULL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open ( c, LZ4 ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close( c ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta ( c, data, 1UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta ( c, NULL, 0UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data ( c, data, 1UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data ( c, NULL, 0UL ) );
    REFUSED( fd_checkpt_fini( c ) );

    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced ( r, RAW, &off ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced ( r, 99,  NULL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, &off ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, NULL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open ( r, LZ4 ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close( r ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_meta ( r, &byte, 1UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_meta ( r, NULL, 0UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data ( r, &byte, 1UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data ( r, NULL, 0UL ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek ( r, 0UL ) );
    REFUSED( fd_restore_fini( r ) );

    CHECK( !memcmp( before_c, checkpt_mem, sizeof(checkpt_mem) ) );
    CHECK( !memcmp( before_r, restore_mem, sizeof(restore_mem) ) );
  }
  CHECK_EQ( off,  OFF_UNTOUCHED );
  CHECK_EQ( byte, 0x5a );
  free( before_c );
  free( before_r );
}

/* init **************************************************************/

static void
check_init( void ) {
  ulong wmin = FD_CHECKPT_WBUF_MIN;
  ulong rmin = FD_RESTORE_RBUF_MIN;
  memset( checkpt_mem, fill, sizeof(checkpt_mem) );
  memset( restore_mem, fill, sizeof(restore_mem) );

  REFUSED( fd_checkpt_init_stream( NULL, fd, iobuf, wmin ) );
  REFUSED( fd_checkpt_init_stream( NULL, -1, NULL, 0UL ) );
  REFUSED( fd_checkpt_init_stream( checkpt_mem, -1,      iobuf, wmin ) );
  REFUSED( fd_checkpt_init_stream( checkpt_mem, INT_MIN, iobuf, wmin ) );
  REFUSED( fd_checkpt_init_stream( checkpt_mem, fd, NULL,  wmin ) );
  REFUSED( fd_checkpt_init_stream( checkpt_mem, fd, NULL,  0UL ) );
  REFUSED( fd_checkpt_init_stream( checkpt_mem, fd, iobuf, wmin-1UL ) );
  REFUSED( fd_checkpt_init_stream( checkpt_mem, fd, iobuf, 0UL ) );
  REFUSED( fd_checkpt_init_mmio  ( NULL, region, REGION_SZ ) );
  REFUSED( fd_checkpt_init_mmio  ( NULL, NULL, 0UL ) );
  REFUSED( fd_checkpt_init_mmio  ( checkpt_mem, NULL, 1UL ) );
  REFUSED( fd_checkpt_init_mmio  ( checkpt_mem, NULL, ULONG_MAX ) );
  REFUSED( fd_restore_init_stream( NULL, fd, iobuf, rmin ) );
  REFUSED( fd_restore_init_stream( NULL, -1, NULL, 0UL ) );
  REFUSED( fd_restore_init_stream( restore_mem, -1,      iobuf, rmin ) );
  REFUSED( fd_restore_init_stream( restore_mem, INT_MIN, iobuf, rmin ) );
  REFUSED( fd_restore_init_stream( restore_mem, fd, NULL,  rmin ) );
  REFUSED( fd_restore_init_stream( restore_mem, fd, NULL,  0UL ) );
  REFUSED( fd_restore_init_stream( restore_mem, fd, iobuf, rmin-1UL ) );
  REFUSED( fd_restore_init_stream( restore_mem, fd, iobuf, 0UL ) );
  REFUSED( fd_restore_init_mmio  ( NULL, region, REGION_SZ ) );
  REFUSED( fd_restore_init_mmio  ( NULL, NULL, 0UL ) );
  REFUSED( fd_restore_init_mmio  ( restore_mem, NULL, 1UL ) );
  REFUSED( fd_restore_init_mmio  ( restore_mem, region, (ulong)LONG_MAX+1UL ) );
  REFUSED( fd_restore_init_mmio  ( restore_mem, region, ULONG_MAX ) );
  REFUSED( fd_restore_init_mmio  ( restore_mem, NULL,   ULONG_MAX ) );

  for( ulong shift=1UL; shift<8UL; shift++ ) {
    REFUSED( fd_checkpt_init_stream( checkpt_mem+shift, fd, iobuf, wmin ) );
    REFUSED( fd_checkpt_init_mmio  ( checkpt_mem+shift, region, REGION_SZ ) );
    REFUSED( fd_restore_init_stream( restore_mem+shift, fd, iobuf, rmin ) );
    REFUSED( fd_restore_init_mmio  ( restore_mem+shift, region, REGION_SZ ) );
  }

  /* 8-aligned is enough. */
  fd_checkpt_t * c = fd_checkpt_init_mmio( checkpt_mem+8, region, REGION_SZ );
  fd_restore_t * r = fd_restore_init_mmio( restore_mem+8, region, REGION_SZ );
  ulong sz[2] = { 70000UL, 100UL };
  CHECK_EQ( c, checkpt_mem+8 );
  CHECK_EQ( r, restore_mem+8 );
  WORKS( test_save( c, LZ4, data, sz, 2UL ) );
  WORKS( test_load( r, LZ4, data, sz, 2UL ) );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem+8 );
  CHECK_EQ( fd_restore_fini( r ), restore_mem+8 );

  /* The smallest descriptor is one. */
  c = fd_checkpt_init_stream( checkpt_mem, 0, iobuf, wmin );
  CHECK_EQ( c, checkpt_mem );
  CHECK_EQ( fd_checkpt_fd( c ), 0 );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

  /* init does not ask whether the descriptor is good; using it tells. */
  int bad = 1000;
  while( fcntl( bad, F_GETFD )!=-1 ) bad--;
  c = fd_checkpt_init_stream( checkpt_mem, bad, iobuf, wmin );
  CHECK_EQ( c, checkpt_mem );
  WORKS( fd_checkpt_open( c, RAW ) );
  WORKS( fd_checkpt_data( c, data, 10UL ) );
  FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_close( c ) );
  CHECK_EQ( fdckpt_last_error()->errnum, EBADF );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  r = fd_restore_init_stream( restore_mem, bad, iobuf, rmin );
  CHECK_EQ( r, restore_mem );
  CHECK_EQ( fd_restore_sz( r ), ULONG_MAX );
  uchar byte;
  WORKS( fd_restore_open( r, RAW ) );
  FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, &byte, 1UL ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
}

/* Regions of no size, and of the largest. */

static void
check_mmio_sizes( void ) {
  uchar byte  = 0x5a;
  ulong off   = OFF_UNTOUCHED;
  for( int null=0; null<2; null++ ) for( int i=0; i<2; i++ ) {
    int   end = styles[i]==RAW ? FD_CHECKPT_ERR_IO : FD_CHECKPT_ERR_COMP;
    void * at = null ? NULL : region;
    fd_checkpt_t * c = fd_checkpt_init_mmio( checkpt_mem, at, 0UL );
    if( !CHECK_EQ( c, checkpt_mem ) ) continue;
    CHECK_EQ( fd_checkpt_is_mmio( c ), 1  );
    CHECK_EQ( fd_checkpt_mmio   ( c ), at );
    CHECK_EQ( fd_checkpt_mmio_sz( c ), 0  );
    WORKS( fd_checkpt_open_advanced( c, styles[i], &off ) ); CHECK_EQ( off, 0 );
    WORKS( fd_checkpt_data( c, NULL, 0UL ) );
    WORKS( fd_checkpt_close_advanced( c, &off ) ); CHECK_EQ( off, 0 );
    WORKS( fd_checkpt_open( c, styles[i] ) );
    FAILS( end, fd_checkpt_data( c, data, 1UL ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

    fd_restore_t * r = fd_restore_init_mmio( restore_mem, at, 0UL );
    if( !CHECK_EQ( r, restore_mem ) ) continue;
    CHECK_EQ( fd_restore_is_mmio( r ), 1  );
    CHECK_EQ( fd_restore_mmio   ( r ), at );
    CHECK_EQ( fd_restore_mmio_sz( r ), 0  );
    CHECK_EQ( fd_restore_sz     ( r ), 0  );
    WORKS( fd_restore_seek( r, 0UL ) );
    WORKS( fd_restore_open_advanced( r, styles[i], &off ) ); CHECK_EQ( off, 0 );
    WORKS( fd_restore_data( r, NULL, 0UL ) );
    WORKS( fd_restore_close_advanced( r, &off ) ); CHECK_EQ( off, 0 );
    WORKS( fd_restore_open( r, styles[i] ) );
    FAILS( end, fd_restore_data( r, &byte, 1UL ) );
    CHECK_EQ( byte, 0x5a );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }

  /* A caller who does not know the size of the region may claim any: what
     is not used is not touched. */
  ulong sz[2] = { 1000UL, 66000UL };
  fd_checkpt_t * c = fd_checkpt_init_mmio( checkpt_mem, region, ULONG_MAX );
  CHECK_EQ( c, checkpt_mem );
  CHECK_EQ( fd_checkpt_mmio_sz( c ), ULONG_MAX );
  WORKS( test_save( c, RAW, data, sz, 2UL ) );
  WORKS( test_save( c, LZ4, data, sz, 2UL ) );
  ulong end = c->off;
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

  fd_restore_t * r = fd_restore_init_mmio( restore_mem, region, (ulong)LONG_MAX );
  CHECK_EQ( r, restore_mem );
  CHECK_EQ( fd_restore_mmio_sz( r ), LONG_MAX );
  CHECK_EQ( fd_restore_sz( r ),      LONG_MAX );
  WORKS( test_load( r, RAW, data, sz, 2UL ) );
  WORKS( test_load( r, LZ4, data, sz, 2UL ) );
  CHECK_EQ( r->off, end );
  WORKS( fd_restore_seek( r, (ulong)LONG_MAX ) );
  WORKS( fd_restore_open_advanced( r, RAW, &off ) ); CHECK_EQ( off, LONG_MAX );
  FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, &byte, 1UL ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
}

/* Rules of state, for making ****************************************/

/* fill_up adds buffers until that fails, and returns why. */

static int
fill_up( fd_checkpt_t * c ) {
  for( ulong i=0UL; i<100UL; i++ ) {
    int err = fd_checkpt_data( c, data, REGION_SZ );
    if( err ) return err;
  }
  return 0;
}

static void
check_checkpt_rules( void ) {
  static int const unknown[] = { -1, 3, 99, INT_MIN, INT_MAX };
  fd_checkpt_t * c;
  ulong          off;

  /* What works. */
  for( int i=0; i<3; i++ ) {
    int style = styles[i] ? styles[i] : FD_CHECKPT_FRAME_STYLE_DEFAULT;
    c = new_checkpt();
    check_checkpt( c, 0 );
    off = OFF_UNTOUCHED;
    WORKS( fd_checkpt_open_advanced( c, styles[i], &off ) );
    CHECK_EQ( off, 0 );
    check_checkpt( c, style );
    WORKS( fd_checkpt_data( c, NULL, 0UL ) );
    WORKS( fd_checkpt_meta( c, NULL, 0UL ) );
    WORKS( fd_checkpt_meta( c, data, 0UL ) );
    WORKS( fd_checkpt_meta( c, data, FD_CHECKPT_META_MAX ) );
    WORKS( fd_checkpt_data( c, data, FD_CHECKPT_META_MAX+1UL ) );
    check_checkpt( c, style );
    off = OFF_UNTOUCHED;
    WORKS( fd_checkpt_close_advanced( c, &off ) );
    if( style==RAW ) CHECK_EQ( off, 2UL*FD_CHECKPT_META_MAX+1UL );
    check_checkpt( c, 0 );
    ulong next = OFF_UNTOUCHED;
    WORKS( fd_checkpt_open_advanced( c, styles[i], &next ) );
    CHECK_EQ( next, off );
    WORKS( fd_checkpt_close( c ) );
    WORKS( fd_checkpt_open ( c, styles[i] ) );
    WORKS( fd_checkpt_close( c ) );
    check_checkpt( c, 0 );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }

  /* open: what is wrong with the state comes before the offset, and that
     before the style. */
  for( ulong u=0UL; u<sizeof(unknown)/sizeof(unknown[0]); u++ ) {
    off = OFF_UNTOUCHED;
    c   = new_checkpt();
    FAILS( FD_CHECKPT_ERR_UNSUP, fd_checkpt_open_advanced( c, unknown[u], &off ) );
    CHECK_EQ( off, OFF_UNTOUCHED );
    check_checkpt_failed( c );

    c = new_checkpt();
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, unknown[u], NULL ) );
    check_checkpt_failed( c );

    c = new_checkpt();
    WORKS( fd_checkpt_open( c, RAW ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, unknown[u], &off ) );
    CHECK_EQ( off, OFF_UNTOUCHED );
    check_checkpt_failed( c );
  }
  c = new_checkpt();
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, RAW, NULL ) );
  check_checkpt_failed( c );

  /* Without a frame. */
  off = OFF_UNTOUCHED;
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, &off ) ); check_checkpt_failed( c );
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, NULL ) ); check_checkpt_failed( c );
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close( c )               ); check_checkpt_failed( c );
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, data, 1UL )     ); check_checkpt_failed( c );
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, data, 1UL )     ); check_checkpt_failed( c );
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, data, 0UL )     ); check_checkpt_failed( c );
  c = new_checkpt(); FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, NULL, 0UL )     ); check_checkpt_failed( c );
  CHECK_EQ( off, OFF_UNTOUCHED );

  /* After a frame it is the same. */
  c = new_checkpt();
  WORKS( fd_checkpt_open ( c, LZ4 ) );
  WORKS( fd_checkpt_close( c ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close( c ) );
  check_checkpt_failed( c );

  /* In a frame. */
  for( int i=0; i<2; i++ ) {
#   define IN_FRAME( code, call ) do {                      \
      c = new_checkpt();                                    \
      WORKS( fd_checkpt_open( c, styles[i] ) );             \
      WORKS( fd_checkpt_data( c, data, 1000UL ) );          \
      FAILS( code, call );                                  \
      check_checkpt_failed( c );                            \
    } while(0)
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced ( c, LZ4, &off ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_open          ( c, 0 ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, NULL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, data, FD_CHECKPT_META_MAX+1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, NULL, FD_CHECKPT_META_MAX+1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, data, ULONG_MAX ) ); /* Neither IO nor COMP: too large comes first */
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_meta( c, NULL, 1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, NULL, 1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, NULL, ULONG_MAX ) );
    if( mmio ) IN_FRAME( styles[i]==RAW ? FD_CHECKPT_ERR_IO : FD_CHECKPT_ERR_COMP, fill_up( c ) );
#   undef IN_FRAME
    CHECK_EQ( off, OFF_UNTOUCHED );

    /* fini in a frame fails once. */
    c = new_checkpt();
    WORKS( fd_checkpt_open( c, styles[i] ) );
    WORKS( fd_checkpt_data( c, data, 1000UL ) );
    REFUSED( fd_checkpt_fini( c ) );
    check_checkpt_failed( c );
  }

  /* The same memory can be used again after fini, in either mode. */
  for( int i=0; i<4; i++ ) {
    mmio = !mmio;
    c = new_checkpt();
    ulong sz[1] = { 70000UL };
    WORKS( test_save( c, styles[i & 1], data, sz, 1UL ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }

  /* What was finished by mistake does no harm. */
  ulong after = OFF_UNTOUCHED;
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open_advanced( c, LZ4, &after ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_data( c, data, 1UL ) );
  CHECK_EQ( after, OFF_UNTOUCHED );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
}

/* Rules of state, for restoring *************************************/

static void
check_restore_rules( void ) {
  static int const unknown[] = { -1, 3, 99, INT_MIN, INT_MAX };
  fd_restore_t * r;
  ulong          off;
  uchar *        buf = (uchar *)test_alloc( FD_RESTORE_META_MAX+1UL );

  /* What works. */
  r = new_restore();
  check_restore( r, 0 );
  off = OFF_UNTOUCHED;
  WORKS( fd_restore_open_advanced( r, 0, &off ) );
  CHECK_EQ( off, 0 );
  check_restore( r, FD_CHECKPT_FRAME_STYLE_DEFAULT );
  WORKS( fd_restore_data( r, NULL, 0UL ) );
  WORKS( fd_restore_meta( r, NULL, 0UL ) );
  WORKS( fd_restore_data( r, buf,  0UL ) );
  WORKS( fd_restore_data( r, buf, FRAME_0_SZ ) );
  CHECK( !memcmp( buf, data, FRAME_0_SZ ) );
  off = OFF_UNTOUCHED;
  WORKS( fd_restore_close_advanced( r, &off ) );
  CHECK_EQ( off, FRAME_0_SZ );
  check_restore( r, 0 );
  off = OFF_UNTOUCHED;
  WORKS( fd_restore_open_advanced( r, LZ4, &off ) );
  CHECK_EQ( off, FRAME_0_SZ );
  check_restore( r, LZ4 );
  WORKS( fd_restore_meta( r, NULL, 0UL ) );
  WORKS( fd_restore_meta( r, buf, FD_RESTORE_META_MAX ) );
  CHECK( !memcmp( buf, data, FD_RESTORE_META_MAX ) );
  WORKS( fd_restore_data( r, buf, 1000UL ) );
  CHECK( !memcmp( buf, data+FD_RESTORE_META_MAX, 1000UL ) );
  off = OFF_UNTOUCHED;
  WORKS( fd_restore_close_advanced( r, &off ) );
  CHECK_EQ( off, made_sz );
  WORKS( fd_restore_seek ( r, 0UL ) );
  WORKS( fd_restore_seek ( r, made_sz ) );
  WORKS( fd_restore_seek ( r, FRAME_0_SZ ) );
  check_restore( r, 0 );
  WORKS( fd_restore_open_advanced( r, LZ4, &off ) );
  CHECK_EQ( off, FRAME_0_SZ );
  WORKS( fd_restore_close( r ) );
  WORKS( fd_restore_open ( r, RAW ) );
  WORKS( fd_restore_meta ( r, buf, FD_RESTORE_META_MAX < made_sz-FRAME_0_SZ ? FD_RESTORE_META_MAX : 1UL ) );
  WORKS( fd_restore_close( r ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );

  /* open */
  for( ulong u=0UL; u<sizeof(unknown)/sizeof(unknown[0]); u++ ) {
    off = OFF_UNTOUCHED;
    r   = new_restore();
    FAILS( FD_CHECKPT_ERR_UNSUP, fd_restore_open_advanced( r, unknown[u], &off ) );
    CHECK_EQ( off, OFF_UNTOUCHED );
    check_restore_failed( r );

    r = new_restore();
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, unknown[u], NULL ) );
    check_restore_failed( r );

    r = new_restore();
    WORKS( fd_restore_open( r, RAW ) );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, unknown[u], &off ) );
    CHECK_EQ( off, OFF_UNTOUCHED );
    check_restore_failed( r );
  }
  r = new_restore();
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, RAW, NULL ) );
  check_restore_failed( r );

  /* Without a frame. */
  off = OFF_UNTOUCHED;
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, &off ) ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, NULL ) ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close( r )               ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, buf, 1UL )      ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, buf, 1UL )      ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, buf, 0UL )      ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, NULL, 0UL )     ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, made_sz+1UL )   ); check_restore_failed( r );
  r = new_restore(); FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, ULONG_MAX )     ); check_restore_failed( r );
  CHECK_EQ( off, OFF_UNTOUCHED );

  /* In a frame. */
  for( int i=0; i<2; i++ ) {
#   define IN_FRAME( code, call ) do {                          \
      r = new_restore();                                        \
      if( styles[i]==LZ4 ) WORKS( fd_restore_seek( r, FRAME_0_SZ ) ); \
      WORKS( fd_restore_open( r, styles[i] ) );                 \
      FAILS( code, call );                                      \
      check_restore_failed( r );                                \
    } while(0)
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced ( r, LZ4, &off ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_open          ( r, 0 ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, NULL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, buf,  FD_RESTORE_META_MAX+1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, NULL, FD_RESTORE_META_MAX+1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, buf,  ULONG_MAX ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_meta( r, NULL, 1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, NULL, 1UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, NULL, ULONG_MAX ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, 0UL ) );
    IN_FRAME( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, ULONG_MAX ) );
#   undef IN_FRAME
    CHECK_EQ( off, OFF_UNTOUCHED );

    r = new_restore();
    WORKS( fd_restore_open( r, styles[i] ) );
    REFUSED( fd_restore_fini( r ) );
    check_restore_failed( r );
  }

  /* The same memory can be used again after fini. */
  for( int i=0; i<3; i++ ) {
    ulong sz_0[1] = { FRAME_0_SZ };
    ulong sz_1[2] = { 65536UL, 1000UL };
    r = new_restore();
    WORKS( test_load( r, RAW, data, sz_0, 1UL ) );
    WORKS( test_load( r, LZ4, data, sz_1, 2UL ) );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }

  /* What was finished by mistake does no harm. */
  ulong after = OFF_UNTOUCHED;
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, 0UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open_advanced( r, LZ4, &after ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_data( r, buf, 1UL ) );
  CHECK_EQ( after, OFF_UNTOUCHED );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
  free( buf );
}

/* A pipe is not seekable. */

static void
check_restore_pipe( void ) {
  int end[2];
  test_pipe( end );
  test_write_all( end[1], data, 1000UL );
  memset( restore_mem, fill, sizeof(restore_mem) );

  fd_restore_t * r = fd_restore_init_stream( restore_mem, end[0], iobuf, FD_RESTORE_RBUF_MIN );
  CHECK_EQ( r, restore_mem );
  CHECK_EQ( fd_restore_is_mmio( r ), 0 );
  CHECK_EQ( fd_restore_fd     ( r ), end[0] );
  CHECK_EQ( fd_restore_rbuf   ( r ), iobuf );
  CHECK_EQ( fd_restore_rbuf_sz( r ), FD_RESTORE_RBUF_MIN );
  CHECK_EQ( fd_restore_mmio   ( r ), NULL );
  CHECK_EQ( fd_restore_mmio_sz( r ), 0 );
  CHECK_EQ( fd_restore_sz     ( r ), ULONG_MAX );
  ulong sz[1] = { 400UL };
  ulong off   = OFF_UNTOUCHED;
  WORKS( test_load( r, RAW, data, sz, 1UL ) );
  WORKS( fd_restore_open_advanced( r, RAW, &off ) );
  CHECK_EQ( off, 400 );
  WORKS( fd_restore_close( r ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, 400UL ) ); /* Not even to where it is */
  CHECK_EQ( fd_restore_can_open( r ), 0 );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_open( r, RAW ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
  close( end[0] );
  close( end[1] );
}

TEST_MAIN( "abi" ) {
  check_constants();
  check_layout();
  check_prototypes();
  check_words();

  fd     = test_file();
  iobuf  = (uchar *)test_alloc( FD_CHECKPT_WBUF_MIN );
  region = (uchar *)test_alloc( REGION_SZ );
  data   = (uchar *)test_alloc( REGION_SZ );
  test_fill( data, REGION_SZ, 1UL );

  for( int i=0; i<4; i++ ) {
    fill = (i & 1) ? 0xff : 0x00;
    mmio = i>>1;
    check_no_handle();
    check_init();
    check_checkpt_rules();
    mmio = i>>1;
    make();
    check_restore_rules();
    check_restore_pipe();
    check_mmio_sizes();
  }

  free( iobuf  );
  free( region );
  free( data   );
  close( fd );
}
