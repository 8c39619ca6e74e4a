"""Schedules for chips with wgmma, TMA and warps that have registers of their own."""
