// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension World {
    /// Four clients with three buffers, attached, reserved, shared: so that a short input reaches far.
    nonisolated(unsafe) static let populated: World = {
        var world = World()
        world.connect(0, identities[0])
        world.connect(1, identities[0])
        world.connect(2, identities[1])
        world.connect(3, identities[2])
        world.register(.owner, by: 0, name: "left")
        world.register(.lastAttachment, by: 0, name: nil)
        world.register(.registry, by: 2, name: "right", proves: false)
        let (first, second, third) = (BufferID(high: 0, low: 1), BufferID(high: 0, low: 2), BufferID(high: 0, low: 3))
        world.ask(.share(first, Share(.user(1001), .all)), from: 0)
        world.ask(.share(second, Share(.everyone, [.attachRead, .fence, .inspect])), from: 0)
        world.ask(.share(third, Share(.group(44), .all)), from: 2)
        for (place, buffer, mobility) in [
            (0, first, Mobility.movable), (1, first, .movable), (2, first, .revocable), (1, second, .movable),
            (3, second, .movable), (2, third, .movable), (3, third, .movable),
        ] {
            let access: Access = place == 3 && buffer == second ? .read : .readWrite
            world.ask(.attach(buffer, AttachTerms(access, mobility)), from: place)
        }
        for (attachment, place) in world.attachments { world.ask(.reserve(attachment, slots: 1), from: place) }
        let token = TokenTerms([.attachRead, .fence, .delegate, .pin], uses: 3)
        world.ask(.makeToken(TokenID(high: 0, low: 1), second, token), from: 0)
        guard world.attachments.count == 7 else { fail("only \(world.attachments) are attached") }
        world.checkTables()
        return world
    }()

    private mutating func register(_ kept: Kept, by place: Int, name: String?, proves: Bool = true) {
        registered += 1
        ask(
            .register(
                BufferID(high: 0, low: registered),
                Registration(
                    backing: backing(byteCount: 4096, descriptors: 1, proves: proves), kept: kept, name: name)),
            from: place)
    }
}
