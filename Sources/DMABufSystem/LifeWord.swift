// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// Words of a page by which its readers see, without a system call, that the thread which wrote it is no more. Whatever a
// thread ends of, SIGKILL included, the kernel sets a bit in each word that is on the thread's robust list.
//
// | Swift          | C                                                    |
// |----------------|------------------------------------------------------|
// | `startLife`    | `set_robust_list`; the word holds the thread's number |
// | `endLife`      |                                                      |
// | `writerIsGone` | `FUTEX_OWNER_DIED`                                   |

/// How much room it takes.
public enum LifeWord {
    public static let byteCount = 64
}

extension WritablePage {
    /// From here on this thread's end is seen at `offset`, which is a multiple of 8 and in the last page of memory that
    /// ``create(named:byteCount:)`` made. ``endLife(at:)`` comes before the page's end, and from this thread, for the kernel
    /// would look for it in memory that is something else by then.
    public borrowing func startLife(at offset: Int) throws(Errno) {
        let word = unsafe words.room(offset, LifeWord.byteCount)
        try nothingOrErrno { unsafe dmabuf_start_life(word.assumingMemoryBound(to: UInt32.self), words.behind(offset)) }
    }

    public borrowing func endLife(at offset: Int) {
        let word = unsafe words.room(offset, LifeWord.byteCount)
        let error = unsafe dmabuf_end_life(word.assumingMemoryBound(to: UInt32.self), words.behind(offset))
        precondition(error == 0, "the page of another thread")
    }
}

extension PageWords {
    /// Whether whoever has started a life there has ended without ending it.
    public borrowing func writerIsGone(at offset: Int) -> Bool {
        loadAcquire32(at: offset) & 0x4000_0000 != 0
    }
}
