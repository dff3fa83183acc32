
static CHOSEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
static REACHED: std::sync::atomic::AtomicPtr<u8> = std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

/// Whether the mutant is the one that this run is about. Marks it as reached where somebody wants to know.
#[doc(hidden)]
#[inline(always)]
pub fn __mutant(number: u32) -> bool {
    let reached = REACHED.load(std::sync::atomic::Ordering::Relaxed);
    if !reached.is_null() {
        // SAFETY: the file that is mapped there has a byte for each mutant.
        unsafe { reached.add(number as usize).write_volatile(1) }
    }
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == number
}

// At loading, and by system calls that no fault harness stands before: the calls of the library are to be the same as ever.
#[used]
#[unsafe(link_section = ".init_array")]
static CHOOSE: extern "C" fn() = {
    extern "C" fn choose() {
        // SAFETY: getenv gives C strings; the calls get a path, a descriptor, and a size that the file has.
        unsafe {
            let number = libc::getenv(c"FDCKPT_MUTANT".as_ptr());
            if !number.is_null() {
                CHOSEN.store(libc::atoi(number) as u32, std::sync::atomic::Ordering::Relaxed);
            }
            let path = libc::getenv(c"FDCKPT_MUTANTS_REACHED".as_ptr());
            if path.is_null() {
                return;
            }
            let file = libc::syscall(libc::SYS_open, path, libc::O_RDWR);
            let (access, no_offset) = (libc::PROT_READ | libc::PROT_WRITE, 0usize);
            let map = libc::syscall(libc::SYS_mmap, 0usize, 1usize << 16, access, libc::MAP_SHARED, file, no_offset);
            if map > 0 {
                REACHED.store(map as *mut u8, std::sync::atomic::Ordering::Relaxed);
            }
            libc::syscall(libc::SYS_close, file);
        }
    }
    choose
};
