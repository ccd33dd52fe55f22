// SPDX-License-Identifier: Apache-2.0

import DMABufClient
import DMABufModel
import DMABufSystem

/// A notice as people and programs read it: one line each.
struct NoticeReport: Report {
    let event: String
    /// The buffer as the person called it.
    let name: String?
    let id: String?
    var attachment: UInt64?
    var generation: UInt64?
    var status: String?
    var state: String?
    var isFinal: Bool?
    var isVerified: Bool?
    var fence: UInt64?
    var lock: UInt64?
    var until: UInt64?
    private var sentence: String

    enum CodingKeys: String, CodingKey {
        case event, name, id, attachment, generation, status, state, fence, lock
        case isFinal = "final"
        case isVerified = "verified"
        case until = "until_ns"
    }

    var text: String { "\(name.map { "\($0.escapedForDisplay): " } ?? "")\(sentence)\n" }

    private init(_ event: String, _ id: BufferID?, _ name: String?, _ sentence: String) {
        self.event = event
        self.id = id?.hexadecimal
        self.name = name
        self.sentence = sentence
    }

    /// What is held now.
    init(_ attached: AttachedBuffer, _ event: String, name: String?) {
        self.init(event, attached.id, name, "\(event), generation \(attached.generation.rawValue)")
        (attachment, generation) = (attached.attachment.rawValue, attached.generation.rawValue)
    }

    init(_ notice: Notice, name: String?) {
        switch notice {
        case .invalidate(let attachment, let id, let generation, let until):
            self.init("invalidate", id, name, "let go of generation \(generation.rawValue): it is about to move")
            (self.attachment, self.generation, self.until) = (
                attachment.rawValue, generation.rawValue, until.nanoseconds
            )
        case .moving(let attachment, let id, let generation):
            self.init("moving", id, name, "is about to move away from generation \(generation.rawValue)")
            (self.attachment, self.generation) = (attachment.rawValue, generation.rawValue)
        case .moved(let attachment, let id, let generation):
            self.init("moved", id, name, "has moved: generation \(generation.rawValue)")
            (self.attachment, self.generation) = (attachment.rawValue, generation.rawValue)
        case .moveAborted(let attachment, let id, let generation):
            self.init("moveAborted", id, name, "did not move: generation \(generation.rawValue) goes on")
            (self.attachment, self.generation) = (attachment.rawValue, generation.rawValue)
        case .revoke, .revoked, .restored: self.init(ofRevocation: notice, name: name)
        case .attachmentEnded, .ownerGone, .withdrawn, .quarantined, .released:
            self.init(ofLifetime: notice, name: name)
        default: self.init(ofTheRest: notice, name: name)
        }
    }

    private init(ofRevocation notice: Notice, name: String?) {
        switch notice {
        case .revoke(let attachment, let id, let isFinal, let until):
            self.init("revoke", id, name, "is asked back\(isFinal ? ", for good" : "")")
            (self.attachment, self.isFinal, self.until) = (attachment.rawValue, isFinal, until.nanoseconds)
        case .revoked(let attachment, let id, let state):
            let howLong = state == .dead ? ", for good" : ""
            self.init("revoked", id, name, "was revoked\(howLong): it was not let go of in time")
            (self.attachment, self.state) = (attachment.rawValue, "\(state)")
        case .restored(let attachment, let id):
            self.init("restored", id, name, "may be mapped again")
            self.attachment = attachment.rawValue
        default: self.init(ofTheRest: notice, name: name)
        }
    }

    private init(ofLifetime notice: Notice, name: String?) {
        switch notice {
        case .attachmentEnded(let attachment, let id):
            self.init("attachmentEnded", id, name, "is over")
            self.attachment = attachment.rawValue
        case .ownerGone(let attachment, let id):
            self.init("ownerGone", id, name, "its owner is gone")
            self.attachment = attachment.rawValue
        case .withdrawn(let attachment, let id):
            self.init("withdrawn", id, name, "its owner has withdrawn it")
            self.attachment = attachment.rawValue
        case .quarantined(let id, let generation):
            self.init("quarantined", id, name, "is in quarantine: a dead client's work may still be writing to it")
            self.generation = generation.rawValue
        case .released(let id, let generation, let isVerified):
            let how = isVerified ? "and the kernel's count proves it" : "as far as its holders say"
            self.init("released", id, name, "the memory of generation \(generation.rawValue) is free, \(how)")
            (self.generation, self.isVerified) = (generation.rawValue, isVerified)
        default: self.init(ofTheRest: notice, name: name)
        }
    }

    private init(ofTheRest notice: Notice, name: String?) {
        switch notice {
        case .fenceExpired(let fence, let id):
            self.init("fenceExpired", id, name, "fence \(fence.rawValue) did not end in time, and is an error now")
            self.fence = fence.rawValue
        case .lockEnded(let lock):
            self.init("lockEnded", nil, name, "lock \(lock.rawValue) is over")
            self.lock = lock.rawValue
        case .readyToCopy(let id, let generation, let work, let until):
            self.init("readyToCopy", id, name, "everyone has let go, for generation \(generation.rawValue)")
            (self.generation, self.status, self.until) = (generation.rawValue, work.words, until.nanoseconds)
        case .moveEnded(let id, .moved(let generation, _)):
            self.init("moveEnded", id, name, "has moved: generation \(generation.rawValue)")
            self.generation = generation.rawValue
        case .moveEnded(let id, .aborted(let reason)):
            self.init("moveEnded", id, name, "did not move: \(reason.sentence)")
        default: self.init("\(notice)", nil, name, "\(notice)")
        }
    }
}
