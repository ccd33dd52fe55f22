// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// What this machine can share, and what keeps it from more: every check with its remedy.
public struct Diagnosis: Equatable, Sendable {
    public let checks: [Check]
    /// A real dma-buf was made here, by any exporter. A check that failed need not matter then.
    public let real: Bool

    /// Opens devices, and makes and drops one small dma-buf. Changes nothing and never throws: what fails is a check.
    public static func examine() -> Diagnosis {
        let devices = DeviceList.discover()
        let modules = ModuleIndex.read()
        let trial = TrialBuffer.make(of: devices)
        var checks = [DMABufSupport.find(trialExporter: trial?.exporterName).check]
        checks.append(UDMABufFindings(devices.udmabuf, modules).check)
        checks += HeapFindings(devices.heaps, modules).checks
        checks += DRMFindings(devices.drm, modules).checks
        checks.append(SyncFileSupport.find(trial).check)
        checks += [ProcSupport.find().check, OpenFileFindings.find().check]
        return Diagnosis(checks: checks, real: trial != nil)
    }
}
