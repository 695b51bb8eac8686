"""A small sound catalog with one of everything, for tests that break it at one place."""

SMALL = """\
version: 1
products: {app: {name: App}}
meters:
  calls: {event: api.call, aggregate: count}
  minutes: {event: job.run, field: minutes, scale: 2}
credits:
  coin: {scale: 2, burns: {minutes: "0.5"}}
features:
  sso: {type: switch, title: Single sign-on}
  tier: {type: configuration, values: [basic, gold], default: basic}
  projects: {type: limit, unit: {one: project, many: projects}}
  calls: {type: metered, meter: calls, warn_at: [80%, 95%]}
  coins: {type: credits, credit: coin}
  editor: {type: seats, default: 2}
  europe: {type: switch, when: 'context.region == "eu"', regions: [eu]}
plans:
  free:
    product: app
    versions:
      2026-01: {includes: {projects: 1, tier: true}}
  team:
    product: app
    versions:
      2026-01:
        trial: P14D
        then: free
        ladder: card
        includes: {projects: 20, sso: true, editor: true, calls: 1000, coins: {amount: "5.5", rollover: {max: 2}}}
      2026-07: {includes: {projects: 30, editor: 5, coins: {amount: 1, per_seat: editor}}}
addons:
  more: {requires: [team], maximum: 3, includes: {projects: 50}}
  extra: {excludes: [more], versions: {2026-02: {includes: {sso: true}}}}
bundles:
  duo: {plan: team, addons: [more]}
ladders:
  card:
    - {after: P0D, do: warn}
    - {after: P7D, do: restrict, features: [sso]}
    - {after: P30D, do: end}
orders:
  shop:
    p1: {plan: team, quantity: editor}
    p2: {addon: more}
    p3: {bundle: duo}
"""
