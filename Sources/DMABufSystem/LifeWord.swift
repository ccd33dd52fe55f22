// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// Words of a page by which its readers see, without a system call, that the thread which wrote it is no more: a robust mutex
// that is never unlocked. Whatever a thread ends of, SIGKILL included, the kernel sets a bit in each such word of its.
//
// | Swift          | C                                                                     |
// |----------------|-----------------------------------------------------------------------|
// | `startLife`    | `pthread_mutex_lock`, `PTHREAD_MUTEX_ROBUST`, `PTHREAD_PROCESS_SHARED` |
// | `endLife`      | `pthread_mutex_unlock`                                                |
// | `writerIsGone` | `FUTEX_OWNER_DIED`, in the first word of the mutex                    |

/// How much room it takes.
public enum LifeWord {
    public static let byteCount = 64
}

extension WritablePage {
    /// From here on this thread's end is seen at `offset`, which is a multiple of 8. ``endLife(at:)`` comes before the page's
    /// end, and from this thread, for the kernel would look for it in memory that is something else by then.
    public borrowing func startLife(at offset: Int) throws(Errno) {
        let mutex = unsafe words.mutex(offset)
        var attributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&attributes)
        defer { unsafe pthread_mutexattr_destroy(&attributes) }
        unsafe pthread_mutexattr_setrobust(&attributes, CInt(PTHREAD_MUTEX_ROBUST))
        unsafe pthread_mutexattr_setpshared(&attributes, CInt(PTHREAD_PROCESS_SHARED))
        var error = unsafe pthread_mutex_init(mutex, &attributes)
        if error == 0 { error = unsafe pthread_mutex_lock(mutex) }
        if error != 0 { throw Errno(rawValue: error) }
    }

    public borrowing func endLife(at offset: Int) {
        let error = unsafe pthread_mutex_unlock(words.mutex(offset))
        precondition(error == 0, "the page of another thread")
    }
}

extension PageWords {
    /// Whether whoever has started a life there has ended without ending it.
    public borrowing func writerIsGone(at offset: Int) -> Bool {
        loadAcquire32(at: offset) & 0x4000_0000 != 0
    }

    fileprivate borrowing func mutex(_ offset: Int) -> UnsafeMutablePointer<pthread_mutex_t> {
        precondition(unsafe MemoryLayout<pthread_mutex_t>.size <= LifeWord.byteCount, "a mutex has no room")
        return unsafe room(offset, LifeWord.byteCount).assumingMemoryBound(to: pthread_mutex_t.self)
    }
}
