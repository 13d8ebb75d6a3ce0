package scotoma

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// PermuteTokens permutes all visual tokens of each picture by a seed.
func PermuteTokens(seed uint64) *v1.Intervention {
	return permute(&v1.PermuteTokens{Source: &v1.PermuteTokens_Seed{Seed: seed}})
}

// PermuteTokensTo makes row i of the visual tokens row order[i].
func PermuteTokensTo(order ...uint32) *v1.Intervention {
	return permute(&v1.PermuteTokens{Source: &v1.PermuteTokens_Order{Order: &v1.TokenOrder{Indices: order}}})
}

func permute(m *v1.PermuteTokens) *v1.Intervention {
	m.Scope = v1.PermuteTokens_SCOPE_ALL
	return &v1.Intervention{Kind: &v1.Intervention_PermuteTokens{PermuteTokens: m}}
}

// OccludeAtRandom blackens a random share (0 to 1) of the patches.
func OccludeAtRandom(ratio float64, seed uint64) *v1.Intervention {
	random := &v1.RandomPatches{Ratio: ratio, Seed: proto.Uint64(seed)}
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_Random{Random: random}})
}

// OccludeSalient blackens the fewest patches that hold this mass (0 to 1) of the tower's attention.
func OccludeSalient(mass float64) *v1.Intervention {
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_Salient{Salient: salient(mass)}})
}

// OccludeNonSalient blackens all but the patches that OccludeSalient would.
func OccludeNonSalient(mass float64) *v1.Intervention {
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_NonSalient{NonSalient: salient(mass)}})
}

// OccludeCells blackens patches by number, row by row from the top left.
func OccludeCells(cells ...uint32) *v1.Intervention {
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_Indices{Indices: &v1.PatchIndices{Indices: cells}}})
}

func salient(mass float64) *v1.SalientPatches {
	return &v1.SalientPatches{Amount: &v1.SalientPatches_Mass{Mass: mass}}
}

func occlude(m *v1.OccludePatches) *v1.Intervention {
	m.Fill = v1.OccludePatches_FILL_BLACK
	return &v1.Intervention{Kind: &v1.Intervention_OccludePatches{OccludePatches: m}}
}

// DropLayers lets layers of the language model, counted from 0, hand their input on unchanged.
func DropLayers(layers ...uint32) *v1.Intervention {
	return drop(v1.Stack_STACK_LANGUAGE_MODEL, layers)
}

// DropTowerLayers does the same in the vision tower.
func DropTowerLayers(layers ...uint32) *v1.Intervention {
	return drop(v1.Stack_STACK_VISION_TOWER, layers)
}

func drop(stack v1.Stack, layers []uint32) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_DropLayers{DropLayers: &v1.DropLayers{Stack: stack, Layers: layers}}}
}

// SwapProjector runs another resident projector.
func SwapProjector(name string) *v1.Intervention {
	return swap(&v1.SwapProjector{Source: &v1.SwapProjector_Name{Name: name}})
}

// SwapProjectorAtRandom runs a random projector.
func SwapProjectorAtRandom(seed uint64) *v1.Intervention {
	return swap(&v1.SwapProjector{Source: &v1.SwapProjector_RandomSeed{RandomSeed: seed}})
}

// SwapProjectorByIdentity runs no projector; the tower and the language model must be equally wide.
func SwapProjectorByIdentity() *v1.Intervention {
	return swap(&v1.SwapProjector{Source: &v1.SwapProjector_Identity{Identity: &v1.IdentityProjector{}}})
}

func swap(m *v1.SwapProjector) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_SwapProjector{SwapProjector: m}}
}

// ParseIntervention reads any intervention in its canonical JSON form, {"exitEarly":{"layer":5}} for instance.
func ParseIntervention(text string) (*v1.Intervention, error) {
	intervention := &v1.Intervention{}
	if err := protojson.Unmarshal([]byte(text), intervention); err != nil {
		return nil, err
	}
	return intervention, nil
}

// ToJSON is the canonical JSON form, for printing in a paper.
func ToJSON(intervention *v1.Intervention) (string, error) {
	text, err := protojson.Marshal(intervention)
	return string(text), err
}
