// SPDX-License-Identifier: Apache-2.0

/// What a client was at its death. One client can be several.
enum PointOfDeath: Int, CaseIterable, Sendable {
    case owner
    case holder
    case idleImporter
    case moverWaiting
    case moverCopying
    case toldToLetGo
    case toldOfRevocation
    case lockOwner
    case lockWaiter
    case fencePromiser
    case fenceWaiter
    case attachWaiter
    case revoker
    case tokenMaker
    case stranger
}
